/**
 * A teacher, as the recipe knows it: texts go in, vectors of length 1 come out. Behind it are a checkpoint run here
 * (checkpoint-teacher.ts), an embeddings endpoint (endpoint.ts) or vectors on disk (vector-files.ts), and on top of any of them a
 * projection (projection.ts) or a trained adapter (../phases/adapt.ts).
 */

/** Which side of a search a text stands on. Teachers may treat the two differently: an instruction before queries, an adapter for each. */
export type Role = 'query' | 'document';

/** How texts are asked for. */
export interface TeachOptions {
  readonly role: Role;
  /** Told how many texts are done, from time to time. */
  readonly onProgress?: (done: number) => void;
}

/** Gives texts their vectors. */
export interface Teacher {
  /** What the manifest calls it. */
  readonly name: string;
  /** Hex digest over everything that decides its vectors; vectors on disk are kept under it. */
  readonly sha256: string;
  readonly dimension: number;
  /** As its publisher states it, or 'unknown'. */
  readonly license: string;
  /** Where it comes from: 'checkpoint folder ...', 'https://...', 'vectors in ...'. */
  readonly source: string;
  /** Vectors [texts, dimension] float32, rows of length 1, in the order asked. @throws HarnessError in one line. */
  encode(texts: readonly string[], options: TeachOptions): Promise<Float32Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Scales the rows of [rows, dimension] to length 1, in place; a row of zeros stays. */
export function normalizeRows(vectors: Float32Array<ArrayBuffer>, dimension: number): Float32Array<ArrayBuffer> {
  for (let start = 0; start < vectors.length; start += dimension) {
    const row = vectors.subarray(start, start + dimension);
    let square = 0;
    for (const value of row) square += value * value;
    if (square > 0) {
      const scale = 1 / Math.sqrt(square);
      for (let i = 0; i < dimension; i++) row[i] = row[i]! * scale;
    }
  }
  return vectors;
}
