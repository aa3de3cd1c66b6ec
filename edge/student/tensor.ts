/** Tensors in memory, and the loops over them that know shapes but not what they compute. */
import { HarnessError } from '../../shared/problem.ts';

/** Row-major values. ONNX's 64-bit integers, which are ids and lengths here, are kept in 32 bits. */
export interface Tensor<Data = Float32Array | Int32Array | Int8Array | Uint8Array> {
  readonly dims: readonly number[];
  readonly data: Data;
}

export const sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

export const misfit = (what: string, ...tensors: readonly Tensor[]): HarnessError =>
  new HarnessError(
    'bundle_damaged',
    `student.onnx: ${what}, got ${tensors.map(({ dims, data }) => `${data.constructor.name} [${dims.join(', ')}]`).join(' and ')}.`,
  );

/** The tensor, where it holds floats. */
export function floats(tensor: Tensor): Tensor<Float32Array> {
  if (!(tensor.data instanceof Float32Array)) throw misfit('expected floats', tensor);
  return tensor as Tensor<Float32Array>;
}

/** Elements from one index to the next, along each axis; 0 where an axis of length 1 is repeated. */
function steps(dims: readonly number[], over: readonly number[]): number[] {
  const result = new Array<number>(over.length).fill(0);
  for (let axis = dims.length - 1, step = 1; axis >= 0; step *= dims[axis]!, axis--) {
    if (dims[axis] !== 1) result[axis + over.length - dims.length] = step;
  }
  return result;
}

/** Calls `each` once a row of the last axis, with where the row begins in each operand. */
function rows(
  dims: readonly number[],
  strides: readonly (readonly number[])[],
  each: (starts: number[]) => void,
): void {
  const index = new Array<number>(Math.max(0, dims.length - 1)).fill(0);
  const starts = strides.map(() => 0);
  for (let row = sizeOf(dims.slice(0, -1)); row > 0; row--) {
    each(starts);
    for (let axis = index.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      for (const [i, stride] of strides.entries()) starts[i]! += stride[axis]!;
      if (index[axis]! < dims[axis]!) break;
      for (const [i, stride] of strides.entries()) starts[i]! -= stride[axis]! * index[axis]!;
      index[axis] = 0;
    }
  }
}

/** One row: out[o + i] from a[i * aStep] and b[i * bStep]. Each operation has a loop of its own, which the engine compiles well. */
export type RowLoop = (
  out: Float32Array,
  a: Float32Array,
  b: Float32Array,
  row: { o: number; ia: number; ib: number; aStep: number; bStep: number; length: number },
) => void;

/** Elementwise over two operands, broadcast as ONNX does. */
export function elementwise(loop: RowLoop, first: Tensor, second: Tensor): Tensor<Float32Array> {
  const [a, b] = [floats(first), floats(second)];
  const rank = Math.max(a.dims.length, b.dims.length);
  const dims = Array.from({ length: rank }, (_, axis) => {
    const [m = 1, n = 1] = [a, b].map((each) => each.dims[axis + each.dims.length - rank]);
    if (m !== n && m !== 1 && n !== 1) throw misfit('expected shapes that broadcast', a, b);
    return Math.max(m, n);
  });
  const out = new Float32Array(sizeOf(dims));
  const [stepsA, stepsB] = [steps(a.dims, dims), steps(b.dims, dims)];
  const row = { o: 0, ia: 0, ib: 0, aStep: stepsA.at(-1) ?? 0, bStep: stepsB.at(-1) ?? 0, length: dims.at(-1) ?? 1 };
  rows(dims, [stepsA, stepsB], ([ia, ib]) => {
    [row.ia, row.ib] = [ia!, ib!];
    loop(out, a.data, b.data, row);
    row.o += row.length;
  });
  return { dims, data: out };
}

/** The last two axes multiplied, for each index of the others, which both operands have alike. */
export function matmul(first: Tensor, second: Tensor): Tensor<Float32Array> {
  const [a, b] = [floats(first), floats(second)];
  const [m = 0, k = 0] = a.dims.slice(-2);
  const [inner, n = 0] = b.dims.slice(-2);
  const outer = a.dims.slice(0, -2);
  const shared = b.dims.length > 2;
  if (inner !== k || (shared && String(b.dims.slice(0, -2)) !== String(outer))) throw misfit('expected factors', a, b);
  const out = new Float32Array(sizeOf(outer) * m * n);
  for (let batch = 0; batch < sizeOf(outer); batch++) {
    const bAt = shared ? batch * k * n : 0;
    for (let i = 0; i < m; i++) {
      const [aAt, oAt] = [(batch * m + i) * k, (batch * m + i) * n];
      for (let p = 0; p < k; p++) {
        const factor = a.data[aAt + p]!;
        for (let j = 0; j < n; j++) out[oAt + j]! += factor * b.data[bAt + p * n + j]!;
      }
    }
  }
  return { dims: [...outer, m, n], data: out };
}
