/** The BERT encoder (Devlin et al., 2019) as a graph, from a Hugging Face `config.json`. */
import { z } from 'zod';
import type { Graph, Value } from '../graph/graph.ts';
import type { Architecture, TokenInputs } from './architecture.ts';
import { layerNorm, linear, maskBias, multiHeadAttention } from './layers.ts';

/** The fields of `config.json` that decide the computation; others are ignored. */
export const BertConfig = z.object({
  model_type: z.literal('bert'),
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().nonnegative(),
  num_attention_heads: z.int().positive(),
  intermediate_size: z.int().positive(),
  max_position_embeddings: z.int().positive(),
  type_vocab_size: z.int().positive().default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: z.enum(['gelu']).default('gelu'),
  position_embedding_type: z.literal('absolute').default('absolute'),
  pad_token_id: z
    .int()
    .nonnegative()
    .nullish()
    .transform((id) => id ?? 0),
});
export type BertConfig = z.infer<typeof BertConfig>;

const WORD_TABLE = 'embeddings.word_embeddings.weight';
const POSITION_TABLE = 'embeddings.position_embeddings.weight';
const layerPrefix = (layer: number): string => `encoder.layer.${layer}.`;

function encoderLayer(
  g: Graph,
  config: BertConfig,
  { x, bias, layer }: { x: Value; bias: Value; layer: number },
): Value {
  const { hidden_size: hidden, num_attention_heads: heads, layer_norm_eps: epsilon } = config;
  const prefix = layerPrefix(layer);
  const project = (name: string) => linear(g, x, { name: `${prefix}attention.self.${name}`, out: hidden });
  const [query, key, value] = [project('query'), project('key'), project('value')];
  const context = multiHeadAttention(g, { query, key, value, bias, heads });
  const attended = linear(g, context, { name: `${prefix}attention.output.dense`, out: hidden });
  const middle = layerNorm(g, g.plus(attended, x), { name: `${prefix}attention.output.LayerNorm`, epsilon });
  const inner = linear(g, middle, { name: `${prefix}intermediate.dense`, out: config.intermediate_size });
  const outer = linear(g, g.apply('gelu', inner), { name: `${prefix}output.dense`, out: hidden });
  return layerNorm(g, g.plus(outer, middle), { name: `${prefix}output.LayerNorm`, epsilon });
}

/**
 * The position table holds position + token type 0 (teacher/bert-weights.ts folds them): single texts have no other type.
 */
function states(g: Graph, config: BertConfig, { inputIds, attentionMask }: TokenInputs): Value[] {
  const words = g.gather(g.parameter(WORD_TABLE, [config.vocab_size, config.hidden_size]), inputIds);
  const table = g.parameter(POSITION_TABLE, [config.max_position_embeddings, config.hidden_size]);
  const positions = g.gather(table, g.positions(inputIds, 1));
  const epsilon = config.layer_norm_eps;
  const all = [layerNorm(g, g.plus(words, positions), { name: 'embeddings.LayerNorm', epsilon })];
  const bias = maskBias(g, attentionMask);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    all.push(encoderLayer(g, config, { x: all.at(-1)!, bias, layer }));
  }
  return all;
}

/** BERT, normalising after each part; the output is the last state. */
export const BERT: Architecture<BertConfig> & { readonly positionTable: string } = {
  wordTable: WORD_TABLE,
  positionTable: POSITION_TABLE,
  layerPrefix,
  feedForward: (layer) => ({
    into: [`${layerPrefix(layer)}intermediate.dense.weight`, `${layerPrefix(layer)}intermediate.dense.bias`],
    outOf: `${layerPrefix(layer)}output.dense.weight`,
  }),
  states,
  output: (_g, _config, last) => last,
};
