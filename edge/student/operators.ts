/**
 * The operators that a student's graph is made of: those that the recipe emits for BERT and static encoders
 * (training/onnx/emit.ts), on one text, with ONNX's meaning (opset 23). A closed list: a graph with another one is refused
 * when it is opened, never half run.
 */
import { HarnessError } from '../../shared/problem.ts';
import type { OnnxNode } from './onnx.ts';
import { elementwise, floats, matmul, misfit, type RowLoop, sizeOf, type Tensor } from './tensor.ts';

type Attributes = OnnxNode['attributes'];
type Operator = (inputs: readonly Tensor[], attributes: Attributes) => Tensor[];

const number = (attributes: Attributes, name: string, fallback: number): number => {
  const value = attributes[name] ?? fallback;
  if (typeof value !== 'number')
    throw new HarnessError('bundle_damaged', `student.onnx: expected one number, ${name}.`);
  return value;
};
const whole = (...values: number[]): Tensor[] => [{ dims: [values.length], data: Int32Array.from(values) }];
const first = ({ data }: Tensor): number => data[0]!;

/** One value of each element. */
const mapped = (map: (value: number) => number) => {
  return ([x]: readonly Tensor[]): Tensor[] => [{ dims: x!.dims, data: floats(x!).data.map(map) }];
};
const between =
  (loop: RowLoop): Operator =>
  ([a, b]) => [elementwise(loop, a!, b!)];

/** Abramowitz and Stegun 7.1.26: off by at most 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail =
    t *
    (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) *
    Math.exp(-x * x);
  return x < 0 ? tail - 1 : 1 - tail;
}

/** Rows of the last axis, each replaced by `change`, which writes from `at` to `at + length` of the copy that it is given. */
function byRow(x: Tensor, change: (data: Float32Array, at: number, length: number) => void): Tensor<Float32Array> {
  const data = floats(x).data.slice();
  const length = x.dims.at(-1)!;
  for (let at = 0; at < data.length; at += length) change(data, at, length);
  return { dims: x.dims, data };
}

/** Half to even, which is what float32 does where its steps are 1. */
const ROUND = 12_582_912;
const roundHalfEven = (value: number) => Math.fround(Math.fround(value) + ROUND) - ROUND;

function dynamicQuantize([x]: readonly Tensor[]): Tensor[] {
  const { data, dims } = floats(x!);
  let [low, high] = [0, 0];
  for (const value of data) {
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  const range = Math.fround(high - low);
  const scale = range === 0 ? 1 : Math.fround(range / 255);
  const zero = Math.max(0, Math.min(255, roundHalfEven(-low / scale)));
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    bytes[i] = Math.max(0, Math.min(255, roundHalfEven(data[i]! / scale) + zero));
  }
  return [
    { dims, data: bytes },
    { dims: [], data: Float32Array.of(scale) },
    { dims: [], data: Uint8Array.of(zero) },
  ];
}

/** Rows of a table. */
function gather([table, indices]: readonly Tensor[]): Tensor[] {
  const [count = 0, ...rest] = table!.dims;
  const width = sizeOf(rest);
  const data = new (table!.data.constructor as Float32ArrayConstructor)(indices!.data.length * width);
  for (const [i, index] of indices!.data.entries()) {
    if (index < 0 || index >= count) throw new RangeError(`expected an id below ${count}, got ${index}`);
    data.set(table!.data.subarray(index * width, (index + 1) * width), i * width);
  }
  return [{ dims: [...indices!.dims, ...rest], data }];
}

/** ONNX: 0 keeps the length at that place, -1 is what is left. */
function reshape([x, shape]: readonly Tensor[]): Tensor[] {
  const dims = Array.from(shape!.data, (dim, i) => (dim === 0 ? x!.dims[i]! : dim));
  const known = sizeOf(dims.filter((dim) => dim !== -1));
  return [{ dims: dims.map((dim) => (dim === -1 ? x!.data.length / known : dim)), data: x!.data }];
}

/** ONNX: a length of 1 keeps the operand's. */
function expand([x, shape]: readonly Tensor[]): Tensor[] {
  const dims = Array.from(shape!.data);
  return [elementwise(sum, x!, { dims, data: new Float32Array(sizeOf(dims)) })];
}

/** Each head's queries against its keys, on [1, tokens, heads * width]; the bias is added to the scores [1, 1, tokens, tokens]. */
function attention([query, key, value, bias]: readonly Tensor[], attributes: Attributes): Tensor[] {
  const heads = number(attributes, 'q_num_heads', 1);
  const [batch, tokens = 0, hidden = 0] = query!.dims;
  if (batch !== 1 || hidden % heads !== 0 || bias!.data.length !== tokens * tokens)
    throw misfit(`expected one text, ${heads} heads and a bias for each pair`, query!, bias!);
  const [q, k, v, added] = [query!, key!, value!, bias!].map((each) => floats(each).data) as Float32Array[];
  const width = hidden / heads;
  const out = new Float32Array(tokens * hidden);
  const scores = new Float32Array(tokens);
  for (let head = 0; head < hidden; head += width) {
    for (let i = 0; i < tokens; i++) {
      for (let j = 0; j < tokens; j++) {
        let dot = 0;
        for (let c = head; c < head + width; c++) dot += q![i * hidden + c]! * k![j * hidden + c]!;
        scores[j] = dot / Math.sqrt(width) + added![i * tokens + j]!;
      }
      softmax(scores, 0, tokens);
      for (let j = 0; j < tokens; j++) {
        for (let c = head; c < head + width; c++) out[i * hidden + c]! += scores[j]! * v![j * hidden + c]!;
      }
    }
  }
  return [{ dims: query!.dims, data: out }];
}

function slice([x, start, end, axis]: readonly Tensor[]): Tensor[] {
  const at = first(axis!) < 0 ? first(axis!) + x!.dims.length : first(axis!);
  const length = x!.dims[at]!;
  const [from, to] = [start!, end!].map((bound) =>
    Math.min(length, first(bound) < 0 ? first(bound) + length : first(bound)),
  );
  const inner = sizeOf(x!.dims.slice(at + 1));
  const dims = x!.dims.with(at, to! - from!);
  const data = new Float32Array(sizeOf(dims));
  const piece = (to! - from!) * inner;
  for (let block = 0; block * piece < data.length; block++) {
    const begin = (block * length + from!) * inner;
    data.set(floats(x!).data.subarray(begin, begin + piece), block * piece);
  }
  return [{ dims, data }];
}

const sum: RowLoop = (out, a, b, { o, ia, ib, aStep, bStep, length }) => {
  for (let i = 0; i < length; i++) out[o + i] = a[ia + i * aStep]! + b[ib + i * bStep]!;
};

/** Shares that add up to one. */
function softmax(row: Float32Array, at: number, length: number): void {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = at; i < at + length; i++) most = Math.max(most, row[i]!);
  let total = 0;
  for (let i = at; i < at + length; i++) total += row[i] = Math.exp(row[i]! - most);
  for (let i = at; i < at + length; i++) row[i]! /= total;
}

export const OPERATORS: Readonly<Record<string, Operator>> = {
  Add: between(sum),
  Sub: between((out, a, b, { o, ia, ib, aStep, bStep, length }) => {
    for (let i = 0; i < length; i++) out[o + i] = a[ia + i * aStep]! - b[ib + i * bStep]!;
  }),
  Mul: between((out, a, b, { o, ia, ib, aStep, bStep, length }) => {
    for (let i = 0; i < length; i++) out[o + i] = a[ia + i * aStep]! * b[ib + i * bStep]!;
  }),
  Gelu: mapped((x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2))),
  Identity: ([x]) => [x!],
  Cast: ([x]) => [{ dims: x!.dims, data: Float32Array.from(x!.data) }],
  Shape: ([x], attributes) =>
    whole(...x!.dims.slice(number(attributes, 'start', 0), number(attributes, 'end', x!.dims.length))),
  Squeeze: ([x]) => [{ dims: x!.dims.filter((dim) => dim !== 1), data: x!.data }],
  Range: ([start, end]) => whole(...Array.from({ length: first(end!) - first(start!) }, (_, i) => first(start!) + i)),
  Gather: gather,
  Reshape: reshape,
  Slice: slice,
  MatMul: ([a, b]) => [matmul(a!, b!)],
  Concat: (parts) => whole(...parts.flatMap(({ data }) => Array.from(data))),
  Expand: expand,
  Attention: attention,
  LpNormalization: ([x]) => [
    byRow(x!, (row, at, length) => {
      let squares = 0;
      for (let i = at; i < at + length; i++) squares += row[i]! ** 2;
      if (squares > 0) for (let i = at; i < at + length; i++) row[i]! /= Math.sqrt(squares);
    }),
  ],
  LayerNormalization: ([x, gain, bias], attributes) => {
    const epsilon = number(attributes, 'epsilon', 1e-5);
    const [scale, shift] = [floats(gain!).data, floats(bias!).data];
    return [
      byRow(x!, (row, at, length) => {
        let [sum, squares] = [0, 0];
        for (let i = at; i < at + length; i++) sum += row[i]!;
        const mean = sum / length;
        for (let i = at; i < at + length; i++) squares += (row[i]! - mean) ** 2;
        const inverse = 1 / Math.sqrt(squares / length + epsilon);
        for (let i = 0; i < length; i++) row[at + i] = (row[at + i]! - mean) * inverse * scale[i]! + shift[i]!;
      }),
    ];
  },
  DynamicQuantizeLinear: dynamicQuantize,
};
