/**
 * A model under construction: operators in topological order, each node's type inferred as it is added.
 *
 * Nodes are hash-consed: asking twice for the same operator on the same operands gives the same node, so gradient rules may restate
 * an intermediate of the forward pass and it is still computed once.
 */
import { ARITY, type Attributes, type DType, type Op, type Shape } from './ops.ts';
import { GraphError, inferType, productOf, sameShape, showShape, type TensorType } from './shapes.ts';

/** A node of operator `O`, and the value it computes. */
export interface NodeOf<O extends Op> extends TensorType {
  readonly id: number;
  readonly op: O;
  readonly inputs: readonly number[];
  readonly attributes: Attributes[O];
}

/** A node of any operator. */
export type Value = { [O in Op]: NodeOf<O> }[Op];

/** A value, or a number that stands for a scalar constant of the type of the other operand. */
export type Operand = Value | number;

/** Nodes in the order in which they were added, and the outputs by name. */
export class Graph {
  /** Whether layers are added as the one operator that the runtime has a kernel for, which has no gradient. */
  readonly fused: boolean;
  readonly nodes: Value[] = [];
  readonly outputs = new Map<string, Value>();
  readonly #known = new Map<string, Value>();

  constructor({ fused = false }: { readonly fused?: boolean } = {}) {
    this.fused = fused;
  }

  /** Adds an operator, or finds the equal one. @throws GraphError where operands do not fit. */
  add<O extends Op>(op: O, inputs: readonly Value[], attributes: Attributes[O]): Value {
    for (const input of inputs) {
      if (this.nodes[input.id] !== input) throw new GraphError(`${op}: operand ${input.id} belongs to another graph`);
    }
    const arity = ARITY[op];
    if (arity === 'any' ? inputs.length === 0 : inputs.length !== arity)
      throw new GraphError(`${op}: expected ${arity} operands, received ${inputs.length}`);
    const ids = inputs.map((input) => input.id);
    const key = `${op} ${ids} ${JSON.stringify(attributes)}`;
    const known = this.#known.get(key);
    if (known) return known;
    const { dtype, shape } = inferType(op, attributes, inputs);
    const node = { id: this.nodes.length, op, inputs: ids, attributes, dtype, shape } as Value;
    this.nodes.push(node);
    this.#known.set(key, node);
    return node;
  }

  node(id: number): Value {
    const node = this.nodes[id];
    if (!node) throw new GraphError(`no node ${id}`);
    return node;
  }

  output(name: string, value: Value): void {
    if (this.outputs.has(name)) throw new GraphError(`output '${name}' is named twice`);
    this.outputs.set(name, value);
  }

  input = (name: string, dtype: DType, shape: Shape): Value => this.add('input', [], { name, dtype, shape });
  parameter = (name: string, shape: Shape, dtype: DType = 'float32'): Value =>
    this.add('parameter', [], { name, dtype, shape });
  constant = (values: readonly number[], shape: readonly number[], dtype: DType = 'float32'): Value =>
    this.add('constant', [], { dtype, shape, values });
  scalar = (value: number, dtype: DType = 'float32'): Value => this.constant([value], [], dtype);
  positions = (x: Value, axis: number): Value => this.add('positions', [x], { axis });

  plus = (a: Operand, b: Operand): Value => this.#binary('add', a, b);
  minus = (a: Operand, b: Operand): Value => this.#binary('sub', a, b);
  times = (a: Operand, b: Operand): Value => this.#binary('mul', a, b);
  over = (a: Operand, b: Operand): Value => this.#binary('div', a, b);
  minimum = (a: Operand, b: Operand): Value => this.#binary('minimum', a, b);
  maximum = (a: Operand, b: Operand): Value => this.#binary('maximum', a, b);
  equal = (a: Operand, b: Operand): Value => this.#binary('equal', a, b);
  greater = (a: Operand, b: Operand): Value => this.#binary('greater', a, b);
  where = (condition: Value, a: Operand, b: Operand): Value =>
    this.add('where', [condition, ...this.#operands(a, b)], {});

  /** An operator of one operand and no attributes. */
  apply = (
    op: 'neg' | 'exp' | 'log' | 'sqrt' | 'erf' | 'tanh' | 'sigmoid' | 'sin' | 'cos' | 'sign' | 'gelu' | 'softmax',
    x: Value,
  ): Value => this.add(op, [x], {});
  cast = (x: Value, to: DType): Value => (x.dtype === to ? x : this.add('cast', [x], { to }));
  standardize = (x: Value, epsilon: number): Value => this.add('standardize', [x], { epsilon });
  inverseStd = (x: Value, epsilon: number): Value => this.add('inverseStd', [x], { epsilon });

  sum = (x: Value, axes: readonly number[], keepDims = false): Value =>
    axes.length === 0 ? x : this.add('reduceSum', [x], { axes, keepDims });
  mean = (x: Value, axes: readonly number[], keepDims = false): Value =>
    axes.length === 0 ? x : this.add('reduceMean', [x], { axes, keepDims });
  max = (x: Value, axes: readonly number[], keepDims = false): Value =>
    axes.length === 0 ? x : this.add('reduceMax', [x], { axes, keepDims });

  matmul = (a: Value, b: Value, { transA = false, transB = false } = {}): Value =>
    this.add('matmul', [a, b], { transA, transB });

  reshape = (x: Value, shape: Shape): Value =>
    sameShape(x.shape, shape) ? x : this.add('reshape', [x], { shape: [...shape] });
  transpose = (x: Value, perm: readonly number[]): Value => this.add('transpose', [x], { perm });
  expandAs = (x: Value, like: Value): Value =>
    sameShape(x.shape, like.shape) ? x : this.add('expandAs', [x, like], {});
  concat = (parts: readonly Value[], axis: number): Value => this.add('concat', parts, { axis });
  slice = (x: Value, axis: number, [start, end]: readonly [number, number]): Value =>
    this.add('slice', [x], { axis, start, end });
  pad = (x: Value, axis: number, [before, after]: readonly [number, number]): Value =>
    before === 0 && after === 0 ? x : this.add('pad', [x], { axis, before, after });
  gather = (table: Value, indices: Value): Value => this.add('gather', [table, indices], {});
  scatterAdd = (indices: Value, updates: Value, rows: number): Value =>
    this.add('scatterAdd', [indices, updates], { rows });

  #binary(op: 'add' | 'sub' | 'mul' | 'div' | 'minimum' | 'maximum' | 'equal' | 'greater', a: Operand, b: Operand) {
    return this.add(op, this.#operands(a, b), {});
  }

  #operands(a: Operand, b: Operand): [Value, Value] {
    const dtype = typeof a === 'number' ? (typeof b === 'number' ? 'float32' : b.dtype) : a.dtype;
    const value = (x: Operand) => (typeof x === 'number' ? this.scalar(x, dtype) : x);
    return [value(a), value(b)];
  }
}

/** The nodes that the outputs need, in an order in which they can be computed. */
export function reachable(graph: Graph): Value[] {
  const needed = new Set<number>([...graph.outputs.values()].map((value) => value.id));
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    if (needed.has(id)) for (const input of graph.node(id).inputs) needed.add(input);
  }
  return graph.nodes.filter((node) => needed.has(node.id));
}

/**
 * Checks what every graph must satisfy before it is emitted: operands come before their users, each node's type is what its rule
 * infers, names of leaves are unique, sizes are positive, there is an output. @throws GraphError at the first violation.
 */
export function verify(graph: Graph): void {
  if (graph.outputs.size === 0) throw new GraphError('the graph has no output');
  const names = new Set<string>();
  graph.nodes.forEach((node, index) => {
    const at = `node ${index} (${node.op})`;
    if (node.id !== index) throw new GraphError(`${at}: carries id ${node.id}`);
    if (node.inputs.some((input) => input >= index || input < 0))
      throw new GraphError(`${at}: uses a value that comes later`);
    const inferred = inferType(
      node.op,
      node.attributes as never,
      node.inputs.map((id) => graph.node(id)),
    );
    if (inferred.dtype !== node.dtype || !sameShape(inferred.shape, node.shape))
      throw new GraphError(
        `${at}: carries ${node.dtype} ${showShape(node.shape)}, inferred ${showShape(inferred.shape)}`,
      );
    if (productOf(node.shape) === 0) throw new GraphError(`${at}: is empty, ${showShape(node.shape)}`);
    if (node.op === 'input' || node.op === 'parameter') {
      if (names.has(node.attributes.name)) throw new GraphError(`${at}: the name '${node.attributes.name}' is taken`);
      names.add(node.attributes.name);
    }
  });
  for (const [name, value] of graph.outputs) {
    if (names.has(name)) throw new GraphError(`output '${name}' has the name of an input or parameter`);
    if (graph.nodes[value.id] !== value) throw new GraphError(`output '${name}' belongs to another graph`);
  }
}
