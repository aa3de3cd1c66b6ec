/**
 * Emission: a graph becomes one plain ONNX graph. One rule per operator; a rule may write several ONNX nodes.
 *
 * Only standard operators are written, so that every execution provider can run the result; the runtime fuses what it knows
 * (LayerNormalization with the residual add, transposes into products, the int8 chain) by itself.
 */
import { type Graph, type NodeOf, reachable, type Value, verify } from '../graph/graph.ts';
import type { Op, Shape } from '../graph/ops.ts';
import { GraphError, sameShape, showShape } from '../graph/shapes.ts';
import {
  elementType,
  encodeModel,
  externalTensorProto,
  type GraphProto,
  graphProto,
  nodeProto,
  type TensorData,
  tensorProto,
  valueInfo,
} from './model.ts';
import { Writer } from './writer.ts';

interface EmitContext<O extends Op> {
  readonly write: Writer;
  readonly node: NodeOf<O>;
  /** ONNX names of the operands. */
  readonly names: readonly string[];
  readonly inputs: readonly Value[];
}

type EmitRule<O extends Op> = (context: EmitContext<O>) => string;

const plain =
  (type: string) =>
  ({ write, names }: EmitContext<Op>): string =>
    write.one(type, names);

const reduce =
  (type: string): EmitRule<'reduceSum' | 'reduceMean' | 'reduceMax'> =>
  ({ write, node, names }) =>
    write.one(type, [names[0]!, write.literal('int64', node.attributes.axes)], {
      keepdims: node.attributes.keepDims ? 1 : 0,
    });

/** ONNX Reshape knows 0 (keep the length at this place) and one -1 (what is left); symbolic lengths must be sayable so. */
function reshapeTarget(from: Shape, to: Shape): number[] {
  const target = to.map((dim, i) => (typeof dim === 'number' ? dim : dim === from[i] ? 0 : -1));
  if (target.filter((dim) => dim === -1).length > 1)
    throw new GraphError(`reshape of ${showShape(from)} to ${showShape(to)}: more than one moved symbolic length`);
  return target;
}

const swapLast = (rank: number): number[] => [...Array(rank - 2).keys(), rank - 1, rank - 2];

function layerNormalization({ write, node, names, inputs }: EmitContext<'standardize' | 'inverseStd'>, output: number) {
  const width = inputs[0]!.shape.at(-1);
  if (typeof width !== 'number') throw new GraphError(`${node.op} needs a known length of the last axis`);
  const ones = write.literal('float32', Array(width).fill(1));
  const attributes = { axis: -1, epsilon: { float: node.attributes.epsilon } };
  // The third output is 1 / sqrt(variance + epsilon).
  const outputs = output === 0 ? [true] : [true, false, true];
  return write.node('LayerNormalization', [names[0]!, ones], attributes, outputs)[output]!;
}

/** The runtime wants a row of biases for each query: [batch, 1, 1, tokens] becomes [batch, 1, tokens, tokens]. */
function squareBias(write: Writer, bias: string): string {
  const one = write.literal('int64', [1]);
  const tokens = write.one('Shape', [bias], { start: 3, end: 4 });
  return write.one('Expand', [bias, write.one('Concat', [one, one, tokens, one], { axis: 0 })]);
}

const RULES: { readonly [O in Op]: EmitRule<O> } = {
  input: ({ node }) => node.attributes.name,
  parameter: ({ node }) => node.attributes.name,
  constant: ({ write, node: { attributes } }) => {
    if (attributes.dtype === 'float32' || attributes.dtype === 'float16' || attributes.dtype === 'int64')
      return write.literal(attributes.dtype, attributes.values, attributes.shape);
    const wide = write.literal('int64', attributes.values, attributes.shape);
    return write.one('Cast', [wide], { to: elementType(attributes.dtype) });
  },
  positions: ({ write, node, names }) => {
    const { axis } = node.attributes;
    const length = write.one('Squeeze', [write.one('Shape', [names[0]!], { start: axis, end: axis + 1 })]);
    return write.one('Range', [write.literal('int64', [0], []), length, write.literal('int64', [1], [])]);
  },
  add: plain('Add'),
  sub: plain('Sub'),
  mul: plain('Mul'),
  div: plain('Div'),
  minimum: plain('Min'),
  maximum: plain('Max'),
  equal: plain('Equal'),
  greater: plain('Greater'),
  where: plain('Where'),
  neg: plain('Neg'),
  exp: plain('Exp'),
  log: plain('Log'),
  sqrt: plain('Sqrt'),
  erf: plain('Erf'),
  tanh: plain('Tanh'),
  sigmoid: plain('Sigmoid'),
  sin: plain('Sin'),
  cos: plain('Cos'),
  sign: plain('Sign'),
  gelu: plain('Gelu'),
  cast: ({ write, node, names }) => write.one('Cast', names, { to: elementType(node.attributes.to) }),
  softmax: ({ write, names }) => write.one('Softmax', names, { axis: -1 }),
  standardize: (context) => layerNormalization(context, 0),
  inverseStd: (context) => layerNormalization(context, 2),
  unitRows: ({ write, names }) => write.one('LpNormalization', names, { axis: -1, p: 2 }),
  layerNorm: ({ write, node, names }) =>
    write.one('LayerNormalization', names, { axis: -1, epsilon: { float: node.attributes.epsilon } }),
  reduceSum: reduce('ReduceSum'),
  reduceMean: reduce('ReduceMean'),
  reduceMax: reduce('ReduceMax'),
  matmul: ({ write, node, names, inputs }) => {
    const { transA, transB } = node.attributes;
    const ranks = inputs.map((x) => x.shape.length);
    if ((transA || transB) && ranks[0] === 2 && ranks[1] === 2)
      return write.one('Gemm', names, { transA: transA ? 1 : 0, transB: transB ? 1 : 0 });
    const turned = (i: number, flag: boolean) =>
      flag ? write.one('Transpose', [names[i]!], { perm: swapLast(ranks[i]!) }) : names[i]!;
    return write.one('MatMul', [turned(0, transA), turned(1, transB)]);
  },
  matmulInt8: ({ write, names: [x, weights, scale] }) => {
    const [quantised, xScale, xZero] = write.node('DynamicQuantizeLinear', [x!], {}, [true, true, true]);
    const product = write.one('MatMulInteger', [quantised!, weights!, xZero!]);
    return write.one('Mul', [
      write.one('Cast', [product], { to: elementType('float32') }),
      write.one('Mul', [xScale!, scale!]),
    ]);
  },
  attention: ({ write, node: { attributes }, names: [query, key, value, bias] }) =>
    write.one('Attention', [query!, key!, value!, squareBias(write, bias!)], {
      q_num_heads: attributes.heads,
      kv_num_heads: attributes.heads,
    }),
  reshape: ({ write, node, names, inputs }) =>
    write.one('Reshape', [names[0]!, write.literal('int64', reshapeTarget(inputs[0]!.shape, node.shape))]),
  transpose: ({ write, node, names }) => write.one('Transpose', names, { perm: node.attributes.perm }),
  expandAs: ({ write, node, names: [x, like] }) => {
    const known = node.shape.every((dim) => typeof dim === 'number');
    return write.one('Expand', [
      x!,
      known ? write.literal('int64', node.shape as number[]) : write.one('Shape', [like!]),
    ]);
  },
  concat: ({ write, node, names }) => write.one('Concat', names, { axis: node.attributes.axis }),
  slice: ({ write, node: { attributes }, names }) => {
    const one = (value: number) => write.literal('int64', [value]);
    return write.one('Slice', [names[0]!, one(attributes.start), one(attributes.end), one(attributes.axis)]);
  },
  pad: ({ write, node: { attributes }, names }) =>
    write.one('Pad', [
      names[0]!,
      write.literal('int64', [attributes.before, attributes.after]),
      '',
      write.literal('int64', [attributes.axis]),
    ]),
  gather: ({ write, names }) => write.one('Gather', names, { axis: 0 }),
  scatterAdd: ({ write, node, names: [indices, updates], inputs }) => {
    // ScatterElements adds in the order of the updates, one thread: the same sum each time, duplicates included.
    const width = node.shape.slice(1);
    if (width.some((dim) => typeof dim !== 'number')) throw new GraphError('scatterAdd needs rows of known shape');
    const rank = inputs[0]!.shape.length;
    const rows = node.attributes.rows;
    const flat = write.one('Reshape', [updates!, write.literal('int64', [-1, ...(width as number[])])]);
    const column = write.one('Reshape', [indices!, write.literal('int64', [-1, ...width.map(() => 1)])]);
    const wide = write.one('Expand', [column, write.one('Shape', [flat])]);
    if (rank === 0) throw new GraphError('scatterAdd needs at least one index axis');
    const zeros = write.one('Expand', [
      write.literal('float32', [0], [1]),
      write.literal('int64', [rows, ...(width as number[])]),
    ]);
    return write.one('ScatterElements', [zeros, wide, flat], { axis: 0, reduction: 'add' });
  },
};

export interface EmitOptions {
  readonly name: string;
  /** Values of the parameters that become initializers; the others become inputs of the model. */
  readonly initializers?: ReadonlyMap<string, TensorData>;
  /** Leaves the initializers' values out of the bytes: a session is handed them by name. */
  readonly external?: boolean;
}

/** A verified graph as a GraphProto: the model itself, or the body of a Scan. @throws GraphError where it cannot be said in ONNX. */
export function emitGraph(graph: Graph, { name, initializers = new Map(), external = false }: EmitOptions): GraphProto {
  verify(graph);
  const write = new Writer();
  const names = new Map<number, string>();
  const inputs: ReturnType<typeof valueInfo>[] = [];
  for (const node of reachable(graph)) {
    if (node.op === 'parameter' || node.op === 'input') {
      const leaf = node.attributes;
      const data = node.op === 'parameter' ? initializers.get(leaf.name) : undefined;
      if (data) {
        if (data.dtype !== leaf.dtype || !sameShape(data.shape, leaf.shape))
          throw new GraphError(
            `parameter '${leaf.name}': expected ${leaf.dtype} ${showShape(leaf.shape)}, received ${data.dtype} ${showShape(data.shape)}`,
          );
        write.initializers.push((external ? externalTensorProto : tensorProto)(leaf.name, data));
      } else {
        inputs.push(valueInfo(leaf.name, leaf.dtype, leaf.shape));
      }
    }
    const operands = node.inputs.map((id) => graph.node(id));
    const rule = RULES[node.op] as EmitRule<Op>;
    names.set(
      node.id,
      rule({ write, node: node as NodeOf<Op>, names: operands.map((x) => names.get(x.id)!), inputs: operands }),
    );
  }
  const outputs = [...graph.outputs].map(([output, value]) => {
    // A name of its own for each output, also where two outputs are one value or an output is an input.
    write.nodes.push(nodeProto({ type: 'Identity', inputs: [names.get(value.id)!], outputs: [output] }));
    return valueInfo(output, value.dtype, value.shape);
  });
  return graphProto({ name, nodes: write.nodes, inputs, outputs, initializers: write.initializers });
}

/** The bytes of an ONNX model that computes the graph's outputs. */
export function emitModel(graph: Graph, options: EmitOptions): Uint8Array<ArrayBuffer> {
  return encodeModel(emitGraph(graph, options));
}
