/**
 * The student before training: a copy of the teacher with some of its layers.
 *
 * Layers are kept by importance on calibration text, or evenly spaced. Importance is the ratio of output to input norm of a layer's
 * own contribution, as in HARNESS-LM (arXiv 2605.23572): |output - input| / |input|, since layer normalisation fixes |output| itself.
 */
import { HarnessError } from '../../shared/problem.ts';
import type { Value } from '../graph/graph.ts';
import { layerPrefix, positionTable, statesOf } from '../nn/encoder.ts';
import type { TensorData } from '../onnx/model.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { type CalibrationTexts, tokenMeans } from './prune-calibration.ts';

export interface PruneOptions {
  /** Layers of the teacher to keep, ascending. */
  readonly keep: readonly number[];
  /** Longest input of the student, in tokens: rows of its position table. */
  readonly maxTokens: number;
}

/** A copy with the layers named, renumbered, and a shorter position table. */
export function prune(model: EncoderModel, { keep, maxTokens }: PruneOptions): EncoderModel {
  const { config, pooling, projection, weights } = model;
  const layers = config.num_hidden_layers;
  if (keep.length === 0 || keep.some((layer, i) => layer >= layers || layer <= (keep[i - 1] ?? -1)))
    throw new HarnessError(
      'configuration',
      `layers to keep: expected ascending numbers below ${layers}, received [${keep.join(', ')}].`,
    );
  const rows = Math.min(maxTokens, config.max_position_embeddings);
  const prefixes = Array.from({ length: layers }, (_, layer) => layerPrefix(config, layer));
  const kept = new Map<string, TensorData>();
  for (const [name, tensor] of weights) {
    if (name === positionTable(config)) {
      const data = tensor.data.slice(0, rows * config.hidden_size) as Float32Array;
      kept.set(name, { ...tensor, shape: [rows, config.hidden_size], data });
    } else if (!prefixes.some((prefix) => name.startsWith(prefix))) kept.set(name, tensor);
  }
  keep.forEach((from, to) => {
    for (const [name, tensor] of weights) {
      const prefix = prefixes[from]!;
      if (name.startsWith(prefix)) kept.set(layerPrefix(config, to) + name.slice(prefix.length), tensor);
    }
  });
  return {
    config: { ...config, num_hidden_layers: keep.length, max_position_embeddings: rows },
    pooling,
    ...(projection ? { projection } : {}),
    weights: kept,
  };
}

/** `count` of `layers`, evenly spaced; the first and the last are among them from two on. */
export function evenlySpaced(layers: number, count: number): number[] {
  if (count === 1) return [layers - 1];
  return Array.from({ length: count }, (_, i) => Math.round((i * (layers - 1)) / (count - 1)));
}

/** The `count` most important layers, ascending. */
export function mostImportant(importance: readonly number[], count: number): number[] {
  const ranked = [...importance.keys()].sort((a, b) => importance[b]! - importance[a]! || a - b);
  return ranked.slice(0, count).sort((a, b) => a - b);
}

/** Importance of each layer, averaged over the tokens of the texts. */
export async function layerImportance(model: EncoderModel, calibration: CalibrationTexts): Promise<number[]> {
  const means = await tokenMeans(model, calibration, (graph, inputs, real) => {
    const states = statesOf(graph, model.config, inputs);
    const norm = (x: Value) => graph.apply('sqrt', graph.sum(graph.times(x, x), [2]));
    return states.slice(1).map((state, layer) => {
      const change = graph.over(norm(graph.minus(state, states[layer]!)), norm(states[layer]!));
      return graph.sum(graph.times(change, real), [0, 1]);
    });
  });
  return means.map((mean) => mean[0]!);
}
