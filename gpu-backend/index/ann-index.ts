/** Nearest neighbours by cosine over the rows of one immutable matrix. Adapters: usearch.ts, exact.ts. */

export interface Hit {
  /** Row of the matrix the index was built over. */
  row: number;
  /** Cosine, -1 to 1. */
  score: number;
}

export interface AnnIndex {
  readonly size: number;
  readonly dimension: number;
  /**
   * The `k` best rows that `accept` lets through (all of them when absent), best first, ties by row; fewer only when
   * fewer are accepted. `query` is [dimension] float32, L2-normalised. Throws when its length is not the dimension.
   */
  search(query: Float32Array, k: number, accept?: (row: number) => boolean): Hit[];
}
