/** What a model's inner values add up to over calibration texts: the measurement behind every importance. */
import { Graph, type Value } from '../graph/graph.ts';
import { type TokenInputs, tokenInputs } from '../nn/architecture.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { openGraph } from '../runner/session.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';

/** Texts to measure on, and how the model reads them. */
export interface CalibrationTexts {
  readonly texts: readonly string[];
  readonly tokenizer: TextTokenizer;
}

const TEXTS_A_RUN = 64;

/**
 * Means over the tokens of the texts, in the order of the values that `measure` adds to the graph, each summed over batch and tokens by
 * it. `real` float32 [batch, tokens] is 1 where a token is.
 */
export async function tokenMeans(
  { weights }: EncoderModel,
  { texts, tokenizer }: CalibrationTexts,
  measure: (graph: Graph, inputs: TokenInputs, real: Value) => readonly Value[],
): Promise<Float64Array[]> {
  const graph = new Graph();
  const inputs = tokenInputs(graph, ['batch', 'tokens']);
  const values = measure(graph, inputs, graph.cast(inputs.attentionMask, 'float32'));
  values.forEach((value, i) => {
    graph.output(`${i}`, value);
  });
  const session = await openGraph(graph, { weights });
  let sums: Float64Array[] = [];
  let tokens = 0;
  for (let start = 0; start < texts.length; start += TEXTS_A_RUN) {
    const batch = tokenizer.pad(texts.slice(start, start + TEXTS_A_RUN).map((text) => tokenizer.encode(text)));
    const results = await session.run(batch);
    const seen = values.map((_, i) => results[`${i}`]!.data as Float32Array);
    sums = seen.map((added, i) => Float64Array.from(added, (value, j) => value + (sums[i]?.[j] ?? 0)));
    for (const bit of batch.attentionMask) tokens += Number(bit);
  }
  await session.close();
  return sums.map((sum) => sum.map((value) => value / tokens));
}
