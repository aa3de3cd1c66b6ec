/** Encoders of every supported architecture behind one interface: configuration, token states, one vector per text. */
import { z } from 'zod';
import type { Graph, Value } from '../graph/graph.ts';
import type { Architecture, FeedForwardNames, TokenInputs } from './architecture.ts';
import { BERT, BertConfig } from './bert.ts';
import { firstPool, lastPool, meanPool, normalizeRows, project, sumPool } from './layers.ts';
import { QWEN3, Qwen3Config } from './qwen3.ts';
import { STATIC, StaticConfig } from './static.ts';

/** The fields of a Hugging Face `config.json` that decide the computation; `model_type` names the architecture. */
export const CheckpointConfig = z.discriminatedUnion('model_type', [BertConfig, Qwen3Config]);
export type CheckpointConfig = z.infer<typeof CheckpointConfig>;

/** Every encoder that can be trained and run; those without a checkpoint format too. */
export const EncoderConfig = z.discriminatedUnion('model_type', [BertConfig, Qwen3Config, StaticConfig]);
export type EncoderConfig = z.infer<typeof EncoderConfig>;

/** How token states become one vector. */
export interface Pooling {
  /** The mean over the tokens, the first token, or the last. */
  readonly mode: 'mean' | 'cls' | 'last';
  /** Whether vectors are scaled to length 1. */
  readonly normalize: boolean;
}

/** Everything about an encoder but its parameters. */
export interface EncoderShape {
  readonly config: EncoderConfig;
  readonly pooling: Pooling;
  /** Width that vectors are brought to by a linear map after pooling, `PROJECTION`; without it they have the hidden size. */
  readonly projection?: number;
}

/** Name of the linear map after pooling, [hidden, projection]. */
export const PROJECTION = 'projection';

/** Width of the vectors. */
export const embeddingWidth = ({ config, projection }: EncoderShape): number => projection ?? config.hidden_size;

const ARCHITECTURES = { bert: BERT, qwen3: QWEN3, static: STATIC };
const architectureOf = ({ model_type }: EncoderConfig) => ARCHITECTURES[model_type] as Architecture<EncoderConfig>;

/** Name of the table of word vectors, [vocabulary, hidden]. */
export const wordTable = (config: EncoderConfig): string => architectureOf(config).wordTable;

/** Name of the table of position vectors, [positions, hidden]; undefined where positions are not learnt. */
export const positionTable = (config: EncoderConfig): string | undefined => architectureOf(config).positionTable;

/** What the names of a layer's parameters begin with. */
export const layerPrefix = (config: EncoderConfig, layer: number): string => architectureOf(config).layerPrefix(layer);

/** Parameters that hold a layer's feed-forward units. */
export const feedForward = (config: EncoderConfig, layer: number): FeedForwardNames =>
  architectureOf(config).feedForward(layer);

/** Hidden states after the embeddings and after each layer, float32 [batch, tokens, hidden] each. */
export const statesOf = (g: Graph, config: EncoderConfig, inputs: TokenInputs): Value[] =>
  architectureOf(config).states(g, config, inputs);

const POOL = { mean: meanPool, sum: sumPool, cls: firstPool, last: lastPool };

/** One vector a text, float32 [batch, width]. */
export function embeddingOf(g: Graph, { config, pooling, projection }: EncoderShape, inputs: TokenInputs): Value {
  const hidden = architectureOf(config).output(g, config, statesOf(g, config, inputs).at(-1)!);
  // A mean that is brought to length 1 points where the sum does.
  const mode = pooling.mode === 'mean' && pooling.normalize ? 'sum' : pooling.mode;
  const pooled = POOL[mode](g, hidden, inputs.attentionMask);
  const vector = projection ? project(g, pooled, { name: PROJECTION, out: projection }) : pooled;
  return pooling.normalize ? normalizeRows(g, vector) : vector;
}
