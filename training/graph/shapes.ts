/**
 * Shape inference: one rule per operator, from operand types to the type of the result.
 *
 * A length may be symbolic. Symbols are equal when their names are; the product of lengths has one canonical name, so that
 * [256, 'tokens', 384] reshapes to ['256*tokens', 384] and back, and a wrong reshape is refused before anything runs.
 */
import { type Attributes, type Dim, type DType, OPS, type Op, type Shape } from './ops.ts';

/** Element type and shape of a value. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Thrown where operands do not fit an operator: a mistake in the model's description, not in its data. */
export class GraphError extends Error {
  override name = 'GraphError';
}

/** A shape as messages show it. */
export const showShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** Whether all lengths, known or named, are equal. */
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i]);

/** The product of lengths: a number where all are known, else the canonical name, e.g. '256*tokens'. */
export function productOf(dims: Shape): Dim {
  let known = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    for (const factor of typeof dim === 'number' ? [dim] : dim.split('*')) {
      const value = Number(factor);
      if (Number.isInteger(value)) known *= value;
      else symbols.push(String(factor));
    }
  }
  if (symbols.length === 0 || known === 0) return known;
  return [...(known === 1 ? [] : [known]), ...symbols.sort()].join('*');
}

/** Numpy broadcasting of two shapes. @throws GraphError where they do not broadcast. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new GraphError(`shapes ${showShape(a)} and ${showShape(b)} do not broadcast: ${x} against ${y}`);
  });
}

function axisOf(shape: Shape, axis: number): Dim {
  const dim = shape[axis];
  if (dim === undefined) throw new GraphError(`axis ${axis} is outside ${showShape(shape)}`);
  return dim;
}

function staticAxis(shape: Shape, axis: number): number {
  const dim = axisOf(shape, axis);
  if (typeof dim !== 'number') throw new GraphError(`axis ${axis} of ${showShape(shape)} must have a known length`);
  return dim;
}

const withAxis = (shape: Shape, axis: number, dim: Dim): Shape => shape.map((d, i) => (i === axis ? dim : d));

function float({ dtype, shape }: TensorType): TensorType {
  if (dtype !== 'float32' && dtype !== 'float16')
    throw new GraphError(`expected floats, received ${dtype} ${showShape(shape)}`);
  return { dtype, shape };
}

function integers({ dtype, shape }: TensorType): Shape {
  if (dtype !== 'int64' && dtype !== 'int32')
    throw new GraphError(`expected integer indices, received ${dtype} ${showShape(shape)}`);
  return shape;
}

function elementwise(a: TensorType, b: TensorType): TensorType {
  if (a.dtype !== b.dtype) throw new GraphError(`operands differ in type: ${a.dtype} and ${b.dtype}`);
  return { dtype: a.dtype, shape: broadcast(a.shape, b.shape) };
}

const binary = (_: unknown, [a, b]: readonly TensorType[]): TensorType => elementwise(a!, b!);
const comparison = (_: unknown, [a, b]: readonly TensorType[]): TensorType => ({
  ...elementwise(a!, b!),
  dtype: 'bool',
});
const unary = (_: unknown, [x]: readonly TensorType[]): TensorType => float(x!);
const leaf = ({ dtype, shape }: TensorType): TensorType => ({ dtype, shape });

function reduction({ axes, keepDims }: Attributes['reduceSum'], [x]: readonly TensorType[]): TensorType {
  const { dtype, shape } = float(x!);
  for (const axis of axes) axisOf(shape, axis);
  if (new Set(axes).size !== axes.length) throw new GraphError(`axes ${axes} repeat`);
  const kept = shape.map((dim, i) => (axes.includes(i) ? 1 : dim));
  return { dtype, shape: keepDims ? kept : kept.filter((_, i) => !axes.includes(i)) };
}

function product(a: Shape, b: Shape, { transA, transB }: Attributes['matmul']): Shape {
  if (a.length < 2 || b.length < 2)
    throw new GraphError(`matrices expected, received ${showShape(a)} and ${showShape(b)}`);
  const [m, k] = transA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [l, n] = transB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  if (k !== l) {
    const flags = `${transA ? ' (transposed)' : ''} and ${showShape(b)}${transB ? ' (transposed)' : ''}`;
    throw new GraphError(`matmul of ${showShape(a)}${flags}: inner lengths ${k} and ${l} differ`);
  }
  return [...broadcast(a.slice(0, -2), b.slice(0, -2)), m, n];
}

type ShapeRules = { [O in Op]: (attributes: Attributes[O], operands: readonly TensorType[]) => TensorType };

const RULES: ShapeRules = {
  input: leaf,
  parameter: leaf,
  constant: ({ dtype, shape, values }) => {
    if (productOf(shape) !== values.length)
      throw new GraphError(`constant ${showShape(shape)} has ${values.length} values`);
    return { dtype, shape };
  },
  positions: ({ axis }, [x]) => ({ dtype: 'int64', shape: [axisOf(x!.shape, axis)] }),
  add: binary,
  sub: binary,
  mul: binary,
  div: binary,
  minimum: binary,
  maximum: binary,
  equal: comparison,
  greater: comparison,
  where: (_, [condition, a, b]) => {
    if (condition!.dtype !== 'bool')
      throw new GraphError(`where expects a bool condition, received ${condition!.dtype}`);
    const { dtype, shape } = elementwise(a!, b!);
    return { dtype, shape: broadcast(condition!.shape, shape) };
  },
  neg: unary,
  exp: unary,
  log: unary,
  sqrt: unary,
  erf: unary,
  tanh: unary,
  sigmoid: unary,
  sin: unary,
  cos: unary,
  sign: unary,
  gelu: unary,
  cast: ({ to }, [x]) => ({ dtype: to, shape: x!.shape }),
  softmax: unary,
  standardize: unary,
  inverseStd: (_, [x]) => ({ dtype: float(x!).dtype, shape: withAxis(x!.shape, x!.shape.length - 1, 1) }),
  unitRows: unary,
  layerNorm: (_, [x, ...vectors]) => {
    const { dtype, shape } = float(x!);
    for (const vector of vectors)
      if (!sameShape(float(vector).shape, shape.slice(-1)))
        throw new GraphError(
          `expected a gain and a bias of ${showShape(shape.slice(-1))}, received ${showShape(vector.shape)}`,
        );
    return { dtype, shape };
  },
  reduceSum: reduction,
  reduceMean: reduction,
  reduceMax: reduction,
  matmul: (flags, [a, b]) => {
    if (float(a!).dtype !== float(b!).dtype)
      throw new GraphError(`operands differ in type: ${a!.dtype} and ${b!.dtype}`);
    return { dtype: a!.dtype, shape: product(a!.shape, b!.shape, flags) };
  },
  matmulInt8: (_, [x, weights, scale]) => {
    const shape = product(float(x!).shape, weights!.shape, { transA: false, transB: false });
    if (weights!.dtype !== 'int8' || weights!.shape.length !== 2)
      throw new GraphError(`expected int8 [k, n], received ${weights!.dtype} ${showShape(weights!.shape)}`);
    if (!sameShape(float(scale!).shape, weights!.shape.slice(1)))
      throw new GraphError(
        `expected one scale a column of ${showShape(weights!.shape)}, received ${showShape(scale!.shape)}`,
      );
    return { dtype: 'float32', shape };
  },
  attention: ({ heads }, [query, key, value, bias]) => {
    const { dtype, shape } = float(query!);
    const [batch, tokens, hidden] = shape;
    for (const each of [key, value])
      if (!sameShape(each!.shape, shape))
        throw new GraphError(`expected ${showShape(shape)}, received ${showShape(each!.shape)}`);
    if (shape.length !== 3 || typeof hidden !== 'number' || hidden % heads !== 0)
      throw new GraphError(`expected [batch, tokens, ${heads} * width], received ${showShape(shape)}`);
    if (!sameShape(float(bias!).shape, [batch!, 1, 1, tokens!]))
      throw new GraphError(
        `expected a bias of ${showShape([batch!, 1, 1, tokens!])}, received ${showShape(bias!.shape)}`,
      );
    return { dtype, shape };
  },
  reshape: ({ shape }, [x]) => {
    if (productOf(shape) !== productOf(x!.shape))
      throw new GraphError(`cannot reshape ${showShape(x!.shape)} to ${showShape(shape)}`);
    return { dtype: x!.dtype, shape };
  },
  transpose: ({ perm }, [x]) => {
    if (perm.length !== x!.shape.length || perm.some((_, i) => !perm.includes(i)))
      throw new GraphError(`${showShape(perm)} is no permutation of the axes of ${showShape(x!.shape)}`);
    return { dtype: x!.dtype, shape: perm.map((axis) => axisOf(x!.shape, axis)) };
  },
  expandAs: (_, [x, like]) => {
    if (!sameShape(broadcast(x!.shape, like!.shape), like!.shape))
      throw new GraphError(`cannot expand ${showShape(x!.shape)} to ${showShape(like!.shape)}`);
    return { dtype: x!.dtype, shape: like!.shape };
  },
  concat: ({ axis }, operands) => {
    const [first] = operands;
    const length = operands.reduce((sum, { shape }) => sum + staticAxis(shape, axis), 0);
    for (const { dtype, shape } of operands) {
      if (dtype !== first!.dtype || !sameShape(withAxis(shape, axis, 1), withAxis(first!.shape, axis, 1)))
        throw new GraphError(`cannot concatenate ${showShape(first!.shape)} and ${showShape(shape)} on axis ${axis}`);
    }
    return { dtype: first!.dtype, shape: withAxis(first!.shape, axis, length) };
  },
  slice: ({ axis, start, end }, [x]) => {
    const dim = axisOf(x!.shape, axis);
    if (start < 0 || end <= start || (typeof dim === 'number' && end > dim))
      throw new GraphError(`slice ${start}:${end} is outside axis ${axis} of ${showShape(x!.shape)}`);
    return { dtype: x!.dtype, shape: withAxis(x!.shape, axis, end - start) };
  },
  pad: ({ axis, before, after }, [x]) => ({
    dtype: float(x!).dtype,
    shape: withAxis(x!.shape, axis, staticAxis(x!.shape, axis) + before + after),
  }),
  gather: (_, [table, indices]) => ({
    dtype: table!.dtype,
    shape: [...integers(indices!), ...table!.shape.slice(1)],
  }),
  scatterAdd: ({ rows }, [indices, updates]) => {
    const at = integers(indices!);
    const { dtype, shape } = float(updates!);
    if (!sameShape(shape.slice(0, at.length), at))
      throw new GraphError(`updates ${showShape(shape)} do not match indices ${showShape(at)}`);
    return { dtype, shape: [rows, ...shape.slice(at.length)] };
  },
};

/** The type of an operator's result. @throws GraphError naming the operator where the operands do not fit. */
export function inferType<O extends Op>(op: O, attributes: Attributes[O], operands: readonly TensorType[]): TensorType {
  if (!OPS.includes(op)) throw new GraphError(`unknown operator ${op}`);
  try {
    return RULES[op](attributes, operands);
  } catch (error) {
    if (error instanceof GraphError) throw new GraphError(`${op}: ${error.message}`);
    throw error;
  }
}
