/** The BERT encoder (Devlin et al., 2019) as a graph, from a Hugging Face `config.json`; and its parameters from a checkpoint. */
import { z } from 'zod';
import type { Graph, Value } from '../graph/graph.ts';
import type { Dim } from '../graph/ops.ts';
import {
  attention,
  firstPool,
  layerNorm,
  linear,
  maskBias,
  meanPool,
  mergeHeads,
  normalizeRows,
  splitHeads,
} from './layers.ts';

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
  pad_token_id: z.int().nonnegative().default(0),
});
export type BertConfig = z.infer<typeof BertConfig>;

/** How token states become one vector. */
export interface Pooling {
  readonly mode: 'mean' | 'cls';
  readonly normalize: boolean;
}

export const WORD_TABLE = 'embeddings.word_embeddings.weight';
export const POSITION_TABLE = 'embeddings.position_embeddings.weight';
export const layerPrefix = (layer: number): string => `encoder.layer.${layer}.`;

function encoderLayer(
  g: Graph,
  config: BertConfig,
  { x, bias, layer }: { x: Value; bias: Value; layer: number },
): Value {
  const { hidden_size: hidden, num_attention_heads: heads, layer_norm_eps: epsilon } = config;
  const prefix = layerPrefix(layer);
  const project = (name: string) =>
    splitHeads(g, linear(g, x, { name: `${prefix}attention.self.${name}`, out: hidden }), heads);
  const context = mergeHeads(
    g,
    attention(g, { query: project('query'), key: project('key'), value: project('value'), bias }),
  );
  const attended = linear(g, context, { name: `${prefix}attention.output.dense`, out: hidden });
  const middle = layerNorm(g, g.plus(attended, x), { name: `${prefix}attention.output.LayerNorm`, epsilon });
  const inner = linear(g, middle, { name: `${prefix}intermediate.dense`, out: config.intermediate_size });
  const outer = linear(g, g.apply('gelu', inner), { name: `${prefix}output.dense`, out: hidden });
  return layerNorm(g, g.plus(outer, middle), { name: `${prefix}output.LayerNorm`, epsilon });
}

export interface BertInputs {
  /** int64 [batch, tokens]. */
  readonly inputIds: Value;
  /** int64 [batch, tokens], 1 where a token is. */
  readonly attentionMask: Value;
}

/**
 * Hidden states after the embeddings and after each layer, float32 [batch, tokens, hidden] each.
 * The position table holds position + token type 0 (see `foldTokenType` in teacher/checkpoint.ts): single texts have no other type.
 */
export function bertStates(g: Graph, config: BertConfig, { inputIds, attentionMask }: BertInputs): Value[] {
  const words = g.gather(g.parameter(WORD_TABLE, [config.vocab_size, config.hidden_size]), inputIds);
  const table = g.parameter(POSITION_TABLE, [config.max_position_embeddings, config.hidden_size]);
  const positions = g.gather(table, g.positions(inputIds, 1));
  const epsilon = config.layer_norm_eps;
  const states = [layerNorm(g, g.plus(words, positions), { name: 'embeddings.LayerNorm', epsilon })];
  const bias = maskBias(g, attentionMask);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    states.push(encoderLayer(g, config, { x: states.at(-1)!, bias, layer }));
  }
  return states;
}

/** One vector a text, float32 [batch, hidden]. */
export function bertEmbedding(
  g: Graph,
  config: BertConfig,
  { pooling, ...inputs }: BertInputs & { pooling: Pooling },
): Value {
  const hidden = bertStates(g, config, inputs).at(-1)!;
  const pooled = pooling.mode === 'mean' ? meanPool(g, hidden, inputs.attentionMask) : firstPool(g, hidden);
  return pooling.normalize ? normalizeRows(g, pooled) : pooled;
}

/** Declares the two inputs of an encoder. */
export function tokenInputs(g: Graph, [batch, tokens]: readonly [Dim, Dim]): BertInputs {
  return {
    inputIds: g.input('input_ids', 'int64', [batch, tokens]),
    attentionMask: g.input('attention_mask', 'int64', [batch, tokens]),
  };
}
