/** The rows an index searches: int8 (cosine ignores their scale) or float32, behind one way to score them. */

export interface VectorRows {
  readonly count: number;
  readonly dimension: number;
  /** Cosine of row and query; `query` is [dimension], L2-normalised. 0 for a row of zeros. */
  cosine(row: number, query: Float32Array): number;
  /** The same of several rows, in their order. */
  cosines(rows: ArrayLike<number>, query: Float32Array): Float64Array;
  /** The row at unit length, as float32. */
  unit(row: number): Float32Array;
}

/** int8 with the row's largest component at 127: the direction is kept to about 0.4 % of that component. */
export function quantize(vector: Float32Array): Int8Array {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  const scale = largest === 0 ? 0 : 127 / largest;
  return Int8Array.from(vector, (value) => Math.round(value * scale));
}

/** 1 over the length of each row; 0 for a row of zeros. */
export function inverseNormsOf(data: Int8Array | Float32Array, dimension: number): Float32Array {
  const inverse = new Float32Array(data.length / dimension);
  for (let row = 0; row < inverse.length; row++) {
    let squares = 0;
    for (let i = row * dimension; i < (row + 1) * dimension; i++) squares += data[i]! * data[i]!;
    inverse[row] = squares === 0 ? 0 : 1 / Math.sqrt(squares);
  }
  return inverse;
}

/** A row at unit length. */
export function unitOf(
  data: Int8Array | Float32Array,
  { row, dimension, inverseNorm }: { row: number; dimension: number; inverseNorm: number },
): Float32Array {
  const out = new Float32Array(dimension);
  for (let i = 0; i < dimension; i++) out[i] = data[row * dimension + i]! * inverseNorm;
  return out;
}

function createRows<T extends Int8Array | Float32Array>(data: T, dimension: number): VectorRows {
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
    return Math.max(-1, Math.min(1, (a + b + c + d) * inverseNorms[row]!));
  };
  return {
    count,
    dimension,
    cosine,
    cosines: (rows, query) => Float64Array.from(rows, (row) => cosine(row, query)),
    unit: (row) => unitOf(data, { row, dimension, inverseNorm: inverseNorms[row]! }),
  };
}

/** Rows over a [count, dimension] int8 matrix, row-major; the matrix is kept, not copied. */
export function int8Rows(data: Int8Array, dimension: number): VectorRows {
  return createRows(data, dimension);
}

/** Rows over a [count, dimension] float32 matrix, row-major; the matrix is kept, not copied. */
export function float32Rows(data: Float32Array, dimension: number): VectorRows {
  return createRows(data, dimension);
}
