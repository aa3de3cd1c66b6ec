/**
 * int8 for inference: a graph is rewritten so that its weight products run in integers and its tables are stored in bytes.
 *
 * Weights [k, n] get one scale per column, tables [rows, dim] one scale per row, both symmetric; activations are
 * quantised as they come (one scale per tensor).
 * Source: Jacob et al., "Quantization and Training of Neural Networks", 2018.
 */
import { Graph, reachable, type Value } from '../graph/graph.ts';
import { GraphError } from '../graph/shapes.ts';
import type { TensorData } from './model.ts';
import { type ChannelRanges, scaleRows, smoothingFactors } from './smooth.ts';

/** Tables and weights with fewer elements stay float32: nothing to gain. */
const SMALLEST = 65_536;

export interface Quantized {
  readonly values: Int8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
}

/** Symmetric int8 of a row-major matrix, one scale per row or per column: value = int * scale, |int| <= limit. */
export function quantizeMatrix(
  data: Float32Array,
  [rows, columns]: readonly [number, number],
  { along, limit = 127 }: { along: 'rows' | 'columns'; limit?: number },
): Quantized {
  const group = along === 'rows' ? (i: number) => Math.floor(i / columns) : (i: number) => i % columns;
  const scales = new Float32Array(along === 'rows' ? rows : columns);
  for (let i = 0; i < data.length; i++) scales[group(i)] = Math.max(scales[group(i)]!, Math.abs(data[i]!));
  // A group of zeros keeps scale 1.
  for (let i = 0; i < scales.length; i++) scales[i] = scales[i] === 0 ? 1 : scales[i]! / limit;
  const values = new Int8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    values[i] = Math.max(-limit, Math.min(limit, Math.round(data[i]! / scales[group(i)]!)));
  }
  return { values, scales };
}

export interface QuantizeOptions {
  readonly weights: ReadonlyMap<string, TensorData>;
  /**
   * Largest weight magnitude. 63 keeps the sum of two products within 16 bits, so that processors without VNNI, whose multiply-add
   * saturates there, give the same vectors; tables always use 127.
   */
  readonly weightLimit: 63 | 127;
  /** Measured on calibration text; products whose weight is named here are smoothed. */
  readonly ranges?: ChannelRanges;
}

interface Matrix {
  readonly name: string;
  readonly data: Float32Array;
  readonly shape: readonly [number, number];
}

/** The same model with int8 weights and tables: a new graph, and the values of its parameters. */
export function quantize(
  graph: Graph,
  { weights, weightLimit, ranges = new Map() }: QuantizeOptions,
): { graph: Graph; weights: Map<string, TensorData> } {
  const target = new Graph();
  const stored = new Map<string, TensorData>();
  const moved = new Map<number, Value>();

  const store = (name: string, tensor: TensorData): Value => {
    stored.set(name, tensor);
    return target.parameter(name, tensor.shape, tensor.dtype);
  };
  const vector = (name: string, data: Float32Array, shape: readonly number[] = [data.length]): Value =>
    store(name, { dtype: 'float32', shape, data });

  /** The values of a parameter worth quantising. */
  const matrixOf = (node: Value | undefined): Matrix | undefined => {
    if (node?.op !== 'parameter' || node.shape.length !== 2) return undefined;
    const { name } = node.attributes;
    const tensor = weights.get(name);
    if (!(tensor?.data instanceof Float32Array) || tensor.data.length < SMALLEST) return undefined;
    return { name, data: tensor.data, shape: tensor.shape as readonly [number, number] };
  };

  // Products of one operand (query, key and value read the same states) are smoothed alike, so that it is quantised once.
  const nodes = reachable(graph);
  const weightOf = (node: Value): Matrix | undefined =>
    node.op === 'matmul' && !node.attributes.transA && !node.attributes.transB
      ? matrixOf(graph.node(node.inputs[1]!))
      : undefined;
  const sharers = Map.groupBy(
    nodes.filter((node) => weightOf(node)),
    (node) => node.inputs[0]!,
  );
  const smoothing = new Map<number, { name: string; factors: Float32Array }>();
  for (const [operand, products] of sharers) {
    const matrices = products.map((node) => weightOf(node)!);
    const range = ranges.get(matrices[0]!.name);
    // What attention averages has no channels that stand out.
    if (!range || graph.node(operand).op === 'attention') continue;
    const factors = smoothingFactors(
      range,
      matrices.map(({ data }) => data),
    );
    smoothing.set(operand, { name: `${matrices[0]!.name}.smooth`, factors });
  }

  const product = (operand: Value, { name, data, shape }: Matrix): Value => {
    const smooth = smoothing.get(operand.id);
    const { values, scales } = quantizeMatrix(smooth ? scaleRows(data, smooth.factors) : data, shape, {
      along: 'columns',
      limit: weightLimit,
    });
    const x = move(operand);
    const scaled = smooth
      ? target.times(
          x,
          vector(
            smooth.name,
            smooth.factors.map((factor) => 1 / factor),
          ),
        )
      : x;
    const weight = store(`${name}.int8`, { dtype: 'int8', shape, data: values });
    return target.add('matmulInt8', [scaled, weight, vector(`${name}.scale`, scales)], {});
  };

  const lookup = (indices: Value, { name, data, shape }: Matrix): Value => {
    const { values, scales } = quantizeMatrix(data, shape, { along: 'rows' });
    const table = store(`${name}.int8`, { dtype: 'int8', shape, data: values });
    const rows = target.cast(target.gather(table, indices), 'float32');
    return target.times(rows, target.gather(vector(`${name}.scale`, scales, [shape[0], 1]), indices));
  };

  const move = (node: Value): Value => {
    const known = moved.get(node.id);
    if (known) return known;
    const [first, second] = node.inputs.map((id) => graph.node(id));
    const weight = weightOf(node);
    const table = node.op === 'gather' && matrixOf(first);
    let copy: Value;
    if (weight) copy = product(first!, weight);
    else if (table) copy = lookup(move(second!), table);
    else if (node.op === 'parameter') {
      const tensor = weights.get(node.attributes.name);
      if (!tensor) throw new GraphError(`no values for parameter '${node.attributes.name}'`);
      copy = store(node.attributes.name, tensor);
    } else {
      const inputs = node.inputs.map((id) => move(graph.node(id)));
      copy = target.add(node.op, inputs, node.attributes as never);
    }
    moved.set(node.id, copy);
    return copy;
  };

  // In order, so that the recursion never goes deep; weights are reached only through the products that use them.
  for (const node of nodes) if (node.op !== 'parameter') move(node);
  for (const [name, value] of graph.outputs) target.output(name, move(value));
  return { graph: target, weights: stored };
}
