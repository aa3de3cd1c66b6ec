/**
 * Gradients: one rule per operator, from the gradient of its result to the gradients of its operands, as new nodes of
 * the same graph.
 *
 * No closures are kept: a rule reads the node and writes operators, so the backward pass is emitted, optimised and placed on a device
 * like the forward pass. Derivations are the textbook ones (e.g. Baydin et al., "Automatic Differentiation in Machine Learning", 2018).
 */
import type { Graph, NodeOf, Value } from './graph.ts';
import type { Op, Shape } from './ops.ts';
import { GraphError, productOf, sameShape, showShape } from './shapes.ts';

/** The gradient does not pass: the result is piecewise constant in the operand, or the operand is an index. */
const STOPS = 'stops';
/** The operator exists in inference graphs only; a gradient that reaches it is a mistake. */
const INFERENCE_ONLY = 'inference only';

interface GradientContext<O extends Op> {
  readonly graph: Graph;
  readonly node: NodeOf<O>;
  readonly inputs: readonly Value[];
  /** Gradient of the loss with respect to the node's result. */
  readonly dy: Value;
}

type Rule<O extends Op> =
  | typeof STOPS
  | typeof INFERENCE_ONLY
  | ((context: GradientContext<O>) => readonly (Value | null)[]);

/** Sums a gradient over the axes along which its operand was broadcast. */
function sumTo(graph: Graph, gradient: Value, shape: Shape): Value {
  const lead = gradient.shape.length - shape.length;
  const leading = Array.from({ length: lead }, (_, i) => i);
  const inner = shape.flatMap((dim, i) => (dim === 1 && gradient.shape[i + lead] !== 1 ? [i + lead] : []));
  if (inner.length === 0) return graph.sum(gradient, leading);
  return graph.reshape(graph.sum(gradient, [...leading, ...inner], true), shape);
}

/** What a value is to the rule that uses it: the node itself. */
const self = (node: NodeOf<Op>): Value => node as Value;

/** The gradient of a reduction with the reduced axes kept at length 1, so that it broadcasts against the operand. */
function keepAxes(graph: Graph, dy: Value, x: Value, axes: readonly number[]): Value {
  return graph.reshape(
    dy,
    x.shape.map((dim, i) => (axes.includes(i) ? 1 : dim)),
  );
}

function sizeOf(x: Value, axes: readonly number[]): number {
  const size = productOf(axes.map((axis) => x.shape[axis]!));
  if (typeof size !== 'number')
    throw new GraphError(`the gradient of a mean over ${axes} of ${showShape(x.shape)} needs known lengths there`);
  return size;
}

/** Splits a gradient between the operand that was chosen and the other. */
function choose(graph: Graph, first: Value, [a, b]: readonly Value[], dy: Value): Value[] {
  return [sumTo(graph, graph.where(first, dy, 0), a!.shape), sumTo(graph, graph.where(first, 0, dy), b!.shape)];
}

const lastAxis = (x: Value): number[] => [x.shape.length - 1];

function matmulGradient({ graph, node, inputs, dy }: GradientContext<'matmul'>): Value[] {
  const [a, b] = inputs as [Value, Value];
  const { transA, transB } = node.attributes;
  const da = transA ? graph.matmul(b, dy, { transA: transB, transB: true }) : graph.matmul(dy, b, { transB: !transB });
  if (b.shape.length === 2 && a.shape.length > 2 && !transA && !transB) {
    // A weight shared by all positions: one product over the flattened positions instead of a product a row and a sum.
    const flat = (x: Value) => graph.reshape(x, [productOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);
    return [sumTo(graph, da, a.shape), graph.matmul(flat(a), flat(dy), { transA: true })];
  }
  const db = transB ? graph.matmul(dy, a, { transA: true, transB: transA }) : graph.matmul(a, dy, { transA: !transA });
  return [sumTo(graph, da, a.shape), sumTo(graph, db, b.shape)];
}

/** d/dx of x Phi(x) = Phi(x) + x phi(x), with u = x / sqrt 2: (1 + erf u) / 2 + u exp(-u^2) / sqrt pi. */
function geluGradient({ graph: g, inputs: [x], dy }: GradientContext<'gelu'>): Value[] {
  const u = g.times(x!, Math.SQRT1_2);
  const density = g.apply('exp', g.times(g.times(u, -1), u));
  const twice = g.plus(g.plus(g.apply('erf', u), 1), g.times(g.times(u, density), 2 / Math.sqrt(Math.PI)));
  return [g.times(g.times(twice, 0.5), dy)];
}

const RULES: { readonly [O in Op]: Rule<O> } = {
  input: STOPS,
  parameter: STOPS,
  constant: STOPS,
  positions: STOPS,
  add: ({ graph, inputs, dy }) => inputs.map((x) => sumTo(graph, dy, x.shape)),
  sub: ({ graph, inputs: [a, b], dy }) => [sumTo(graph, dy, a!.shape), graph.apply('neg', sumTo(graph, dy, b!.shape))],
  mul: ({ graph, inputs: [a, b], dy }) => [
    sumTo(graph, graph.times(dy, b!), a!.shape),
    sumTo(graph, graph.times(dy, a!), b!.shape),
  ],
  div: ({ graph, node, inputs: [a, b], dy }) => {
    const da = graph.over(dy, b!);
    return [sumTo(graph, da, a!.shape), sumTo(graph, graph.apply('neg', graph.times(da, self(node))), b!.shape)];
  },
  minimum: ({ graph, inputs, dy }) => choose(graph, graph.greater(inputs[1]!, inputs[0]!), inputs, dy),
  maximum: ({ graph, inputs, dy }) => choose(graph, graph.greater(inputs[0]!, inputs[1]!), inputs, dy),
  equal: STOPS,
  greater: STOPS,
  where: ({ graph, inputs: [condition, a, b], dy }) => [null, ...choose(graph, condition!, [a!, b!], dy)],
  neg: ({ graph, dy }) => [graph.apply('neg', dy)],
  exp: ({ graph, node, dy }) => [graph.times(dy, self(node))],
  log: ({ graph, inputs: [x], dy }) => [graph.over(dy, x!)],
  sqrt: ({ graph, node, dy }) => [graph.over(graph.times(dy, 0.5), self(node))],
  erf: ({ graph, inputs: [x], dy }) => {
    const density = graph.apply('exp', graph.apply('neg', graph.times(x!, x!)));
    return [graph.times(graph.times(density, 2 / Math.sqrt(Math.PI)), dy)];
  },
  tanh: ({ graph, node, dy }) => [graph.times(dy, graph.minus(1, graph.times(self(node), self(node))))],
  sigmoid: ({ graph, node, dy }) => [graph.times(dy, graph.times(self(node), graph.minus(1, self(node))))],
  sin: ({ graph, inputs: [x], dy }) => [graph.times(dy, graph.apply('cos', x!))],
  cos: ({ graph, inputs: [x], dy }) => [graph.apply('neg', graph.times(dy, graph.apply('sin', x!)))],
  sign: STOPS,
  gelu: geluGradient,
  cast: STOPS,
  softmax: ({ graph, node, dy }) => {
    const weighted = graph.times(dy, self(node));
    return [graph.minus(weighted, graph.times(self(node), graph.sum(weighted, lastAxis(weighted), true)))];
  },
  standardize: ({ graph, node, inputs: [x], dy }) => {
    const y = self(node);
    const along = graph.mean(graph.times(dy, y), lastAxis(y), true);
    const centred = graph.minus(dy, graph.mean(dy, lastAxis(y), true));
    const inverse = graph.inverseStd(x!, node.attributes.epsilon);
    return [graph.times(graph.minus(centred, graph.times(y, along)), inverse)];
  },
  inverseStd: ({ graph, node, inputs: [x], dy }) => {
    const y = self(node);
    const slope = graph.times(graph.times(graph.times(y, y), dy), -1 / sizeOf(x!, lastAxis(x!)));
    return [graph.times(graph.standardize(x!, node.attributes.epsilon), slope)];
  },
  unitRows: INFERENCE_ONLY,
  layerNorm: INFERENCE_ONLY,
  reduceSum: ({ graph, node, inputs: [x], dy }) => [graph.expandAs(keepAxes(graph, dy, x!, node.attributes.axes), x!)],
  reduceMean: ({ graph, node, inputs: [x], dy }) => {
    const { axes } = node.attributes;
    return [graph.expandAs(graph.times(keepAxes(graph, dy, x!, axes), 1 / sizeOf(x!, axes)), x!)];
  },
  reduceMax: ({ graph, node, inputs: [x], dy }) => {
    // Equal maxima share the gradient.
    const { axes } = node.attributes;
    const chosen = graph.cast(graph.equal(x!, keepAxes(graph, self(node), x!, axes)), 'float32');
    const share = graph.over(keepAxes(graph, dy, x!, axes), graph.sum(chosen, axes, true));
    return [graph.times(chosen, share)];
  },
  matmul: matmulGradient,
  matmulInt8: INFERENCE_ONLY,
  attention: INFERENCE_ONLY,
  reshape: ({ graph, inputs: [x], dy }) => [graph.reshape(dy, x!.shape)],
  transpose: ({ graph, node, dy }) => {
    const { perm } = node.attributes;
    return [
      graph.transpose(
        dy,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  },
  expandAs: ({ graph, inputs: [x], dy }) => [sumTo(graph, dy, x!.shape), null],
  concat: ({ graph, node, inputs, dy }) => {
    const { axis } = node.attributes;
    let start = 0;
    return inputs.map((x) => {
      const end = start + (x.shape[axis] as number);
      const part = graph.slice(dy, axis, [start, end]);
      start = end;
      return part;
    });
  },
  slice: ({ graph, node, inputs: [x], dy }) => {
    const { axis, start, end } = node.attributes;
    return [graph.pad(dy, axis, [start, sizeOf(x!, [axis]) - end])];
  },
  pad: ({ graph, node, inputs: [x], dy }) => {
    const { axis, before } = node.attributes;
    return [graph.slice(dy, axis, [before, before + (x!.shape[axis] as number)])];
  },
  gather: ({ graph, inputs: [table, indices], dy }) => [graph.scatterAdd(indices!, dy, sizeOf(table!, [0])), null],
  scatterAdd: ({ graph, inputs: [indices], dy }) => [null, graph.gather(dy, indices!)],
};

/**
 * Gradients of a node's operands given the gradient of its result; null where none flows.
 * @throws GraphError where the operator is for inference only.
 */
export function gradientsOf(graph: Graph, node: Value, dy: Value): readonly (Value | null)[] {
  if (!sameShape(dy.shape, node.shape))
    throw new GraphError(`${node.op}: gradient ${showShape(dy.shape)} for a value ${showShape(node.shape)}`);
  const rule = RULES[node.op] as Rule<Op>;
  if (rule === STOPS) return node.inputs.map(() => null);
  if (rule === INFERENCE_ONLY) throw new GraphError(`${node.op} has no gradient: it is for inference only`);
  const inputs = node.inputs.map((id) => graph.node(id));
  return rule({ graph, node: node as NodeOf<Op>, inputs, dy });
}
