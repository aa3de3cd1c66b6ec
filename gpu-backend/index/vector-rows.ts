/** The rows an index searches: 16 or 8 bits per component, or float32, behind one way to score them. */

/** A vector or a matrix as it is stored. The scale of whole numbers is no part of a vector's meaning: cosine ignores it. */
export type Components = Int8Array | Int16Array | Float32Array;

/** Cosines of one query with the first `count` of the rows listed, into `scores`, in their order. 0 for a row of zeros. */
export type Scorer = (rows: ArrayLike<number>, count: number, scores: Float64Array) => void;

export interface VectorRows {
  readonly count: number;
  readonly dimension: number;
  /** Prepares `query`, [dimension] float32, L2-normalised, for many lists of rows. */
  scorer(query: Float32Array): Scorer;
  /** Cosine of row and query. */
  cosine(row: number, query: Float32Array): number;
  /** The row at unit length, as float32. */
  unit(row: number): Float32Array;
}

/** Length of a row of 16 bits: the longest of which the product of two cannot leave int32. */
export const UNIT_16 = 32_767;

/** int16 at length {@link UNIT_16} into `out`, zeros for zeros: at 384 dimensions a component is kept to about 0.03 % of the usual one. */
export function sixteenBits(vector: ArrayLike<number>, out = new Int16Array(vector.length)): Int16Array {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!;
  const scale = squares === 0 ? 0 : UNIT_16 / Math.sqrt(squares);
  // A loop: Int16Array.from() with a function takes fifteen times as long, and a build does this a million times.
  for (let i = 0; i < vector.length; i++) out[i] = Math.round(vector[i]! * scale);
  return out;
}

/** Whether two vectors are the same as far as 16 bits show, whatever their scales. */
export function sameDirection(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  const other = sixteenBits(b);
  return sixteenBits(a).every((value, i) => Math.abs(value - other[i]!) <= 1);
}

/** int8 with the row's largest component at 127: the direction is kept to about 0.4 % of that component. */
export function quantize(vector: Float32Array): Int8Array {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  const scale = largest === 0 ? 0 : 127 / largest;
  return Int8Array.from(vector, (value) => Math.round(value * scale));
}

/** A cosine that rounding may have left outside of -1 to 1. */
export const bounded = (cosine: number) => Math.max(-1, Math.min(1, cosine));

/** 1 over the length of each row; 0 for a row of zeros. */
function inverseNormsOf(data: Components, dimension: number): Float32Array {
  const inverse = new Float32Array(data.length / dimension);
  for (let row = 0; row < inverse.length; row++) {
    let squares = 0;
    for (let i = row * dimension; i < (row + 1) * dimension; i++) squares += data[i]! * data[i]!;
    inverse[row] = squares === 0 ? 0 : 1 / Math.sqrt(squares);
  }
  return inverse;
}

function createRows(data: Components, dimension: number): VectorRows {
  const count = dimension === 0 ? 0 : data.length / dimension;
  if (!Number.isInteger(count)) {
    throw new RangeError(`expected rows of ${dimension} components, got ${data.length} components in all`);
  }
  const inverseNorms = inverseNormsOf(data, dimension);
  const cosine = (row: number, query: Float32Array): number => {
    // Four sums: one would make each addition wait for the last.
    let [a, b, c, d, i] = [0, 0, 0, 0, 0];
    const at = row * dimension;
    for (; i + 3 < dimension; i += 4) {
      a += data[at + i]! * query[i]!;
      b += data[at + i + 1]! * query[i + 1]!;
      c += data[at + i + 2]! * query[i + 2]!;
      d += data[at + i + 3]! * query[i + 3]!;
    }
    for (; i < dimension; i++) a += data[at + i]! * query[i]!;
    return bounded((a + b + c + d) * inverseNorms[row]!);
  };
  return {
    count,
    dimension,
    cosine,
    scorer: (query) => (rows, listed, scores) => {
      for (let i = 0; i < listed; i++) scores[i] = cosine(rows[i]!, query);
    },
    unit: (row) => {
      const out = new Float32Array(dimension);
      for (let i = 0; i < dimension; i++) out[i] = data[row * dimension + i]! * inverseNorms[row]!;
      return out;
    },
  };
}

/** Rows over a [count, dimension] int8 matrix, row-major; the matrix is kept, not copied. */
export function int8Rows(data: Int8Array, dimension: number): VectorRows {
  return createRows(data, dimension);
}

/** Rows over a [count, dimension] int16 matrix, row-major; the matrix is kept, not copied. */
export function int16Rows(data: Int16Array, dimension: number): VectorRows {
  return createRows(data, dimension);
}

/** Rows over a [count, dimension] float32 matrix, row-major; the matrix is kept, not copied. */
export function float32Rows(data: Float32Array, dimension: number): VectorRows {
  return createRows(data, dimension);
}
