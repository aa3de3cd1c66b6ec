/** Nearest neighbours by cosine over chosen rows of one immutable matrix. Adapters: usearch.ts, exact.ts, device-scan.ts, milvus.ts. */

export interface Hit {
  /** Row of the matrix the index was built over. */
  row: number;
  /** Cosine, -1 to 1. */
  score: number;
}

export interface AnnIndex {
  /** Rows that can be found. */
  readonly size: number;
  readonly dimension: number;
  /**
   * Length of the list of candidates: recall against time, for every search that begins after it is set. What recall needs
   * grows with the index, and the gate finds it (generations/gate.ts). Absent where a search is exact.
   */
  expansionSearch?: number;
  /**
   * The `k` best rows that `accept` lets through (all of them when absent), best first, ties by row; fewer only when
   * fewer are accepted. `query` is [dimension] float32, L2-normalised. A promise where the index is another machine's
   * or a device's: then `accept` may have changed its mind by the time of the answer, and the caller asks it again. Throws, or rejects
   * with, RangeError when the query's length is not the dimension.
   */
  search(query: Float32Array, k: number, accept?: (row: number) => boolean): Hit[] | Promise<Hit[]>;
  /** Releases a device, once the searches that have begun are done; absent where nothing is held. Never rejects. */
  close?(): Promise<void>;
}

/** An index in this process: it answers at once. */
export interface LocalIndex extends AnnIndex {
  search(query: Float32Array, k: number, accept?: (row: number) => boolean): Hit[];
}

/** Best first, ties by row: the order of every answer. */
export function byScore(a: Hit, b: Hit): number {
  return b.score - a.score || a.row - b.row;
}

/** Throws RangeError unless the query has the index's dimension. */
export function requireDimension(query: Float32Array, dimension: number): void {
  if (query.length !== dimension) {
    throw new RangeError(`expected a query of ${dimension} components, got ${query.length}`);
  }
}
