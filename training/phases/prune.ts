/**
 * The student before training: a copy of the teacher with some of its layers.
 *
 * Layers are kept by importance on calibration text, or evenly spaced. Importance is the ratio of output to input norm of a layer's
 * own contribution, as in HARNESS-LM (arXiv 2605.23572): |output - input| / |input|, since layer normalisation fixes |output| itself.
 */
import { HarnessError } from '../../shared/problem.ts';
import { Graph } from '../graph/graph.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { layerPrefix, positionTable, statesOf } from '../nn/encoder.ts';
import { emitModel } from '../onnx/emit.ts';
import type { TensorData } from '../onnx/model.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { openSession } from '../runner/session.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';

export interface PruneOptions {
  /** Layers of the teacher to keep, ascending. */
  readonly keep: readonly number[];
  /** Longest input of the student, in tokens: rows of its position table. */
  readonly maxTokens: number;
}

/** A copy with the layers named, renumbered, and a shorter position table. */
export function prune({ config, pooling, weights }: EncoderModel, { keep, maxTokens }: PruneOptions): EncoderModel {
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
export async function layerImportance(
  { config, weights }: EncoderModel,
  { texts, tokenizer }: { texts: readonly string[]; tokenizer: TextTokenizer },
): Promise<number[]> {
  const graph = new Graph();
  const inputs = tokenInputs(graph, ['batch', 'tokens']);
  const states = statesOf(graph, config, inputs);
  const real = graph.cast(inputs.attentionMask, 'float32');
  const norm = (x: (typeof states)[number]) => graph.apply('sqrt', graph.sum(graph.times(x, x), [2]));
  states.slice(1).forEach((state, layer) => {
    const change = graph.over(norm(graph.minus(state, states[layer]!)), norm(states[layer]!));
    graph.output(`${layer}`, graph.sum(graph.times(change, real), [0, 1]));
  });
  const session = await openSession(emitModel(graph, { name: 'importance', initializers: weights }));
  const sums = new Float64Array(config.num_hidden_layers);
  let tokens = 0;
  for (let start = 0; start < texts.length; start += 64) {
    const batch = tokenizer.pad(texts.slice(start, start + 64).map((text) => tokenizer.encode(text)));
    const results = await session.run(batch);
    for (const layer of sums.keys()) sums[layer]! += (results[`${layer}`]!.data as Float32Array)[0]!;
    for (const bit of batch.attentionMask) tokens += Number(bit);
  }
  await session.close();
  return [...sums].map((sum) => sum / tokens);
}
