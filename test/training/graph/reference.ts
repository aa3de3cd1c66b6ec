/** A slow, obvious float64 reference for the operators: nested loops over indices, no code shared with what it checks. */

export interface Plain {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** All index tuples of a shape, in row-major order. */
function indices(shape: readonly number[]): number[][] {
  return Array.from({ length: size(shape) }, (_, flat) => {
    const index: number[] = [];
    for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
      index.unshift(rest % shape[axis]!);
      rest = Math.floor(rest / shape[axis]!);
    }
    return index;
  });
}

/** A tensor from a function of the index. */
export const tensor = (shape: readonly number[], at: (index: number[]) => number): Plain => ({
  shape,
  data: indices(shape).map(at),
});

/** The element at an index; axes of length 1 and missing leading axes broadcast. */
export function get({ shape, data }: Plain, index: readonly number[]): number {
  const own = index.slice(index.length - shape.length);
  let flat = 0;
  shape.forEach((length, axis) => {
    flat = flat * length + (length === 1 ? 0 : own[axis]!);
  });
  return data[flat]!;
}

export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...shapes.map((shape) => shape[axis - rank + shape.length] ?? 1)),
  );
}

export const zip = (operands: readonly Plain[], f: (...values: number[]) => number): Plain =>
  tensor(broadcastShape(...operands.map((x) => x.shape)), (index) => f(...operands.map((x) => get(x, index))));

/** Elements of `x` that an output index of a reduction stands for. */
export function reduce(x: Plain, axes: readonly number[], keepDims: boolean, f: (values: number[]) => number): Plain {
  const kept = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  const full = tensor(kept, (index) =>
    f(
      indices(x.shape)
        .filter((at) => at.every((i, axis) => axes.includes(axis) || i === index[axis]))
        .map((at) => get(x, at)),
    ),
  );
  return keepDims ? full : { shape: x.shape.filter((_, axis) => !axes.includes(axis)), data: full.data };
}

/** Applies a function to each row along the last axis. */
export function rows(x: Plain, f: (row: number[]) => number[]): Plain {
  const width = x.shape.at(-1)!;
  const data: number[] = [];
  let length = width;
  for (let start = 0; start < x.data.length; start += width) {
    const row = f(x.data.slice(start, start + width));
    length = row.length;
    data.push(...row);
  }
  return { shape: [...x.shape.slice(0, -1), length], data };
}

export function matmul(a: Plain, b: Plain, transA: boolean, transB: boolean): Plain {
  const at = (x: Plain, index: number[], flip: boolean) =>
    get(x, flip ? [...index.slice(0, -2), index.at(-1)!, index.at(-2)!] : index);
  const [m, k] = transA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const n = transB ? b.shape.at(-2)! : b.shape.at(-1)!;
  return tensor([...broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n], (index) => {
    const [i, j] = [index.at(-2)!, index.at(-1)!];
    let sum = 0;
    for (let l = 0; l < k; l++)
      sum += at(a, [...index.slice(0, -2), i, l], transA) * at(b, [...index.slice(0, -2), l, j], transB);
    return sum;
  });
}

/** The error function by its Maclaurin series; enough for |x| < 4. */
export function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
