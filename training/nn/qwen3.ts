/**
 * The Qwen3 decoder used as an encoder (Yang et al., "Qwen3 Technical Report", arXiv 2505.09388; Zhang et al., "Qwen3 Embedding",
 * arXiv 2506.05176) as a graph, from a Hugging Face `config.json`.
 *
 * Layers normalise before they compute; attention is causal, with grouped heads (Ainslie et al., 2023), normalised queries and keys and
 * rotary positions (Su et al., 2021); the feed-forward part is gated (Shazeer, 2020). No product has a bias.
 */
import { z } from 'zod';
import type { Graph, Value } from '../graph/graph.ts';
import type { Architecture, TokenInputs } from './architecture.ts';
import {
  attention,
  causalBias,
  maskBias,
  mergeHeads,
  project,
  rmsNorm,
  rotate,
  rotation,
  splitHeads,
} from './layers.ts';

/** The fields of `config.json` that decide the computation; variants that are not built are refused by their literal. */
export const Qwen3Config = z
  .object({
    model_type: z.literal('qwen3'),
    vocab_size: z.int().positive(),
    hidden_size: z.int().positive(),
    num_hidden_layers: z.int().nonnegative(),
    num_attention_heads: z.int().positive(),
    /** Heads of keys and values; each serves num_attention_heads / num_key_value_heads heads of queries. */
    num_key_value_heads: z.int().positive(),
    head_dim: z.int().positive().default(128),
    intermediate_size: z.int().positive(),
    max_position_embeddings: z.int().positive(),
    rms_norm_eps: z.number().positive().default(1e-6),
    rope_theta: z.number().positive().default(10_000),
    rope_scaling: z.null().default(null),
    /** Where newer files keep rope_theta. */
    rope_parameters: z.object({ rope_type: z.literal('default'), rope_theta: z.number().positive() }).optional(),
    hidden_act: z.literal('silu').default('silu'),
    attention_bias: z.literal(false).default(false),
    use_sliding_window: z.literal(false).default(false),
    pad_token_id: z
      .int()
      .nonnegative()
      .nullish()
      .transform((id) => id ?? 0),
  })
  .refine(({ num_attention_heads, num_key_value_heads }) => num_attention_heads % num_key_value_heads === 0, {
    path: ['num_key_value_heads'],
    error: 'expected a divisor of num_attention_heads',
  });
export type Qwen3Config = z.infer<typeof Qwen3Config>;

const layerPrefix = (layer: number): string => `layers.${layer}.`;

/** What all layers share: the rotation of each position, and which tokens may look at which. */
interface Shared {
  readonly turn: ReturnType<typeof rotation>;
  /** [batch, 1, 1, tokens, tokens], added to attention scores. */
  readonly bias: Value;
}

function selfAttention(
  g: Graph,
  config: Qwen3Config,
  { x, prefix, turn, bias }: Shared & { x: Value; prefix: string },
) {
  const { num_attention_heads: heads, num_key_value_heads: groups, head_dim: width, rms_norm_eps: epsilon } = config;
  const [batch, tokens] = x.shape as [number, number];
  const split = (name: string, count: number) =>
    splitHeads(g, project(g, x, { name: `${prefix}${name}_proj`, out: count * width }), count);
  const turned = (name: string, count: number) =>
    rotate(g, rmsNorm(g, split(name, count), { name: `${prefix}${name}_norm`, epsilon }), turn);
  // [batch, groups, heads of a group, tokens, width]: keys and values broadcast over the heads of their group.
  const grouped = (value: Value, inGroup: number) => g.reshape(value, [batch, groups, inGroup, tokens, width]);
  const context = attention(g, {
    query: grouped(turned('q', heads), heads / groups),
    key: grouped(turned('k', groups), 1),
    value: grouped(split('v', groups), 1),
    bias,
  });
  const merged = mergeHeads(g, g.reshape(context, [batch, heads, tokens, width]));
  return project(g, merged, { name: `${prefix}o_proj`, out: config.hidden_size });
}

/** SwiGLU: silu(gate) * up, brought back to the hidden size. */
function feedForward(g: Graph, config: Qwen3Config, { x, prefix }: { x: Value; prefix: string }): Value {
  const gate = project(g, x, { name: `${prefix}gate_proj`, out: config.intermediate_size });
  const up = project(g, x, { name: `${prefix}up_proj`, out: config.intermediate_size });
  const units = g.times(g.times(gate, g.apply('sigmoid', gate)), up);
  return project(g, units, { name: `${prefix}down_proj`, out: config.hidden_size });
}

function states(g: Graph, config: Qwen3Config, { inputIds, attentionMask }: TokenInputs): Value[] {
  const epsilon = config.rms_norm_eps;
  const [batch, tokens] = inputIds.shape as [number, number];
  const positions = g.positions(inputIds, 1);
  const theta = config.rope_parameters?.rope_theta ?? config.rope_theta;
  const shared: Shared = {
    turn: rotation(g, positions, { width: config.head_dim, theta }),
    bias: g.reshape(g.plus(maskBias(g, attentionMask), causalBias(g, positions)), [batch, 1, 1, tokens, tokens]),
  };
  const all = [g.gather(g.parameter(QWEN3.wordTable, [config.vocab_size, config.hidden_size]), inputIds)];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const before = all.at(-1)!;
    const prefix = layerPrefix(layer);
    const calm = rmsNorm(g, before, { name: `${prefix}input_layernorm`, epsilon });
    const middle = g.plus(before, selfAttention(g, config, { x: calm, prefix: `${prefix}self_attn.`, ...shared }));
    const inner = rmsNorm(g, middle, { name: `${prefix}post_attention_layernorm`, epsilon });
    all.push(g.plus(middle, feedForward(g, config, { x: inner, prefix: `${prefix}mlp.` })));
  }
  return all;
}

/** Qwen3, normalising before each part and once more at the end. */
export const QWEN3: Architecture<Qwen3Config> = {
  wordTable: 'embed_tokens.weight',
  layerPrefix,
  feedForward: (layer) => ({
    into: [`${layerPrefix(layer)}mlp.gate_proj.weight`, `${layerPrefix(layer)}mlp.up_proj.weight`],
    outOf: `${layerPrefix(layer)}mlp.down_proj.weight`,
  }),
  states,
  output: (g, config, last) => rmsNorm(g, last, { name: 'norm', epsilon: config.rms_norm_eps }),
};
