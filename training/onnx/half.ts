/**
 * fp16 for inference on GPUs: a graph is rewritten so that its products run in float16 and its matrices are stored in it.
 *
 * What is sensitive stays float32: sums over an axis, normalisation, softmax, roots, logarithms, products of activations with each other,
 * and with them the residual stream. Where both types meet, the result is float32. Inputs stay integers and outputs float32, because
 * onnxruntime-node takes no float16 tensors. The CPU provider has no float16 products on x64: it inserts casts and computes in float32.
 * Source: Micikevicius et al., "Mixed Precision Training", 2018.
 */
import { Graph, reachable, type Value } from '../graph/graph.ts';
import type { Op } from '../graph/ops.ts';
import { GraphError } from '../graph/shapes.ts';
import type { TensorData } from './model.ts';

/** Operators that move values or change them little: their result is float16 where all their operands can be. */
const CARRIERS: ReadonlySet<Op> = new Set<Op>([
  ...(['reshape', 'transpose', 'concat', 'slice', 'pad', 'gather', 'where'] as const),
  ...(['add', 'sub', 'neg', 'erf', 'tanh', 'sigmoid', 'gelu'] as const),
]);

/** A tensor in float16. @throws GraphError where a value is beyond its range (65,504). */
function halved(name: string, { shape, data }: TensorData): TensorData {
  const half = Float16Array.from(data as Float32Array);
  const beyond = half.findIndex((value) => !Number.isFinite(value));
  if (beyond !== -1)
    throw new GraphError(`parameter '${name}': expected values that float16 can hold, received ${data[beyond]}`);
  return { dtype: 'float16', shape, data: half };
}

/** The same model with float16 products and matrices: a new graph, and the values of its parameters. */
export function halve(
  graph: Graph,
  weights: ReadonlyMap<string, TensorData>,
): { graph: Graph; weights: Map<string, TensorData> } {
  const target = new Graph();
  const stored = new Map<string, TensorData>();
  const moved = new Map<number, Value>();

  const store = (name: string): Value => {
    const tensor = weights.get(name);
    if (!tensor) throw new GraphError(`no values for parameter '${name}'`);
    const kept = tensor.dtype === 'float32' && tensor.shape.length > 1 ? halved(name, tensor) : tensor;
    stored.set(name, kept);
    return target.parameter(name, kept.shape, kept.dtype);
  };
  const cast = (value: Value, to: 'float32' | 'float16'): Value => {
    if (value.dtype !== 'float32' && value.dtype !== 'float16') return value;
    // A literal is written in the type it is used in.
    return value.op === 'constant'
      ? target.constant(value.attributes.values, value.attributes.shape, to)
      : target.cast(value, to);
  };
  const precisionOf = (op: Op, operands: readonly Value[]): 'float32' | 'float16' => {
    if (op === 'matmul') return 'float16';
    const wide = operands.some((x) => x.dtype === 'float32' && x.op !== 'parameter' && x.op !== 'constant');
    return CARRIERS.has(op) && !wide && operands.some((x) => x.dtype === 'float16') ? 'float16' : 'float32';
  };

  for (const node of reachable(graph)) {
    const operands = node.inputs.map((id) => moved.get(id)!);
    const precision = precisionOf(node.op, operands);
    const copy =
      node.op === 'parameter'
        ? store(node.attributes.name)
        : target.add(
            node.op,
            operands.map((x) => cast(x, precision)),
            node.attributes as never,
          );
    moved.set(node.id, copy);
  }
  for (const [name, value] of graph.outputs) target.output(name, cast(moved.get(value.id)!, 'float32'));
  return { graph: target, weights: stored };
}
