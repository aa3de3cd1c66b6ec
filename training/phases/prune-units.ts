/**
 * Fewer feed-forward units: the least important ones of each layer leave, with their columns and rows of the dense weights.
 *
 * A unit's importance is its mean absolute activation on calibration text, as in HARNESS-LM (arXiv 2605.23572): of a gated part the
 * product of gate and up, of a plain one what the activation function gives; in both what the layer's last product reads.
 */
import { HarnessError } from '../../shared/problem.ts';
import type { Value } from '../graph/graph.ts';
import { feedForward, statesOf } from '../nn/encoder.ts';
import type { TensorData } from '../onnx/model.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { type CalibrationTexts, tokenMeans } from './prune-calibration.ts';

/** Importance of each unit, [layers][units]. */
export async function unitImportance(model: EncoderModel, calibration: CalibrationTexts): Promise<number[][]> {
  const { config } = model;
  const means = await tokenMeans(model, calibration, (graph, inputs, real) => {
    statesOf(graph, config, inputs);
    const [batch, tokens] = real.shape as [number, number];
    const activations = new Map<string, Value>();
    for (const node of graph.nodes) {
      if (node.op !== 'matmul') continue;
      const [x, weight] = node.inputs.map((id) => graph.node(id)) as [Value, Value];
      if (weight.op === 'parameter') activations.set(weight.attributes.name, x);
    }
    return Array.from({ length: config.num_hidden_layers }, (_, layer) => {
      const units = activations.get(feedForward(config, layer).outOf)!;
      const magnitude = graph.maximum(units, graph.apply('neg', units));
      return graph.sum(graph.times(magnitude, graph.reshape(real, [batch, tokens, 1])), [0, 1]);
    });
  });
  return means.map((mean) => [...mean]);
}

/** A tensor with only the places named of its last axis. */
function places({ shape, data, dtype }: TensorData, keep: readonly number[]): TensorData {
  const columns = shape.at(-1)!;
  const rows = data.length / columns;
  const kept = new Float32Array(rows * keep.length);
  for (let row = 0; row < rows; row++) {
    for (const [to, from] of keep.entries()) kept[row * keep.length + to] = Number(data[row * columns + from]!);
  }
  return { dtype, shape: [...shape.slice(0, -1), keep.length], data: kept };
}

/** A tensor [rows, columns] with only the rows named. */
function rows({ shape, data, dtype }: TensorData, keep: readonly number[]): TensorData {
  const columns = shape[1]!;
  const kept = new Float32Array(keep.length * columns);
  keep.forEach((from, to) => {
    kept.set(data.subarray(from * columns, (from + 1) * columns) as Float32Array, to * columns);
  });
  return { dtype, shape: [keep.length, columns], data: kept };
}

/** A copy with the units named, [layers][units], ascending, equally many in each layer. @throws HarnessError where they do not fit. */
export function pruneUnits(model: EncoderModel, keep: readonly (readonly number[])[]): EncoderModel {
  const { config } = model;
  const { num_hidden_layers: layers, intermediate_size: units } = config;
  const count = keep[0]?.length ?? 0;
  const fits = (kept: readonly number[]) =>
    kept.length === count && kept.every((unit, i) => unit < units && unit > (kept[i - 1] ?? -1));
  if (keep.length !== layers || count === 0 || !keep.every(fits))
    throw new HarnessError(
      'configuration',
      `units to keep: expected ${layers} lists of one length, ascending below ${units}, received lengths [${keep.map(({ length }) => length).join(', ')}].`,
    );
  const weights = new Map(model.weights);
  keep.forEach((kept, layer) => {
    const { into, outOf } = feedForward(config, layer);
    for (const name of into) weights.set(name, places(weights.get(name)!, kept));
    weights.set(outOf, rows(weights.get(outOf)!, kept));
  });
  return { ...model, config: { ...config, intermediate_size: count }, weights };
}
