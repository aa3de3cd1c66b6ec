/**
 * The closed list of operators a model may be described with.
 *
 * `Attributes` names every operator and what it carries; `Op` is derived from it. Each transformation of a graph (shape inference,
 * gradient, emission to ONNX) is one total table keyed by `Op`, so that an operator without a rule does not compile.
 * Every operator has exactly one output.
 */

/** Element types that exist in a graph. Gradients flow through `float32` only; `float16` is for inference. */
export type DType = 'float32' | 'float16' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool';

/** One axis length: a number, or the name of a length known only when the graph runs ('batch', 'tokens', or a product of such: '256*tokens'). */
export type Dim = number | string;

/** Lengths of all axes. */
export type Shape = readonly Dim[];

type None = Record<never, never>;
interface Reduction {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}
interface Leaf {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Operators and their attributes. Axes are never negative; those from softmax to layerNorm work along the last axis. */
export interface Attributes {
  // leaves
  /** Fed with each run: a batch, a step number. */
  input: Leaf;
  /** A named tensor of the model: trainable or optimizer state in a training step, an initializer in an inference graph. */
  parameter: Leaf;
  /** A small literal, row-major. */
  constant: { readonly dtype: DType; readonly shape: readonly number[]; readonly values: readonly number[] };
  /** 0, 1, 2, ... up to the length of `axis` of the operand, as int64. */
  positions: { readonly axis: number };

  // elementwise, with broadcasting
  add: None;
  sub: None;
  mul: None;
  div: None;
  minimum: None;
  maximum: None;
  equal: None;
  greater: None;
  /** (condition, then, otherwise). */
  where: None;

  // elementwise
  neg: None;
  exp: None;
  log: None;
  sqrt: None;
  erf: None;
  tanh: None;
  sigmoid: None;
  sin: None;
  cos: None;
  sign: None;
  /** x times the normal distribution function of x (Hendrycks and Gimpel, 2016), exact form. */
  gelu: None;
  cast: { readonly to: DType };

  // along the last axis
  softmax: None;
  /** (x - mean) / sqrt(variance + epsilon): layer normalisation (Ba et al., 2016) without gain and bias. */
  standardize: { readonly epsilon: number };
  /** 1 / sqrt(variance + epsilon), keeping the axis with length 1. */
  inverseStd: { readonly epsilon: number };
  /** Rows of length 1; a row of zeros stays. Inference only. */
  unitRows: None;
  /** (x [..., n], gain [n], bias [n]): layer normalisation (Ba et al., 2016). Inference only. */
  layerNorm: { readonly epsilon: number };

  // reductions
  reduceSum: Reduction;
  reduceMean: Reduction;
  reduceMax: Reduction;

  // products
  /** Matrix product over the last two axes, the leading ones broadcast; an operand is transposed (last two axes) where its flag says so. */
  matmul: { readonly transA: boolean; readonly transB: boolean };
  /** (x float32, weights int8 [k, n], scale float32 [n]): x is quantised as it comes. Inference only. */
  matmulInt8: None;
  /**
   * (query, key, value [batch, tokens, heads * width], bias [batch, 1, 1, tokens]): scaled dot-product attention of each head
   * (Vaswani et al., 2017), the heads side by side. Inference only.
   */
  attention: { readonly heads: number };

  // moving data
  reshape: { readonly shape: Shape };
  transpose: { readonly perm: readonly number[] };
  /** Broadcasts the first operand to the shape of the second. */
  expandAs: None;
  concat: { readonly axis: number };
  slice: { readonly axis: number; readonly start: number; readonly end: number };
  /** Adds zeros along one axis. */
  pad: { readonly axis: number; readonly before: number; readonly after: number };
  /** (table, indices): rows of the table along its first axis. */
  gather: None;
  /** (indices, updates): zeros of `rows` rows to which each update is added at its index; the transpose of gather. */
  scatterAdd: { readonly rows: number };
}

/** The name of an operator. */
export type Op = keyof Attributes;

/** How many operands each operator takes; 'any' means one or more. */
export const ARITY: Readonly<Record<Op, number | 'any'>> = {
  input: 0,
  parameter: 0,
  constant: 0,
  positions: 1,
  add: 2,
  sub: 2,
  mul: 2,
  div: 2,
  minimum: 2,
  maximum: 2,
  equal: 2,
  greater: 2,
  where: 3,
  neg: 1,
  exp: 1,
  log: 1,
  sqrt: 1,
  erf: 1,
  tanh: 1,
  sigmoid: 1,
  sin: 1,
  cos: 1,
  sign: 1,
  gelu: 1,
  cast: 1,
  softmax: 1,
  standardize: 1,
  inverseStd: 1,
  unitRows: 1,
  layerNorm: 3,
  reduceSum: 1,
  reduceMean: 1,
  reduceMax: 1,
  matmul: 2,
  matmulInt8: 3,
  attention: 4,
  reshape: 1,
  transpose: 1,
  expandAs: 2,
  concat: 'any',
  slice: 1,
  pad: 1,
  gather: 2,
  scatterAdd: 2,
};

/** Every operator. */
export const OPS = Object.keys(ARITY) as readonly Op[];
