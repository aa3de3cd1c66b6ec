/**
 * Reads an encoder checkpoint: a folder with `config.json`, `model.safetensors` (or shards and their index) and `tokenizer.json`, and,
 * where sentence-transformers wrote them, `modules.json`, the pooling configuration, prompts and `sentence_bert_config.json`.
 */
import { basename, join } from 'node:path';
import { z } from 'zod';
import { sha256Hex } from '../../shared/digest.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { SafeTensor } from '../../shared/safetensors.ts';
import { CheckpointConfig, type Pooling } from '../nn/encoder.ts';
import type { TensorData } from '../onnx/model.ts';
import { bertWeights } from './bert-weights.ts';
import { optionalText, parsed, requiredFile } from './files.ts';
import { qwen3Weights } from './qwen3-weights.ts';
import { readCheckpointTensors } from './shards.ts';
import { TextTokenizer } from './tokenizer.ts';

/** Parameters by name, in the layout of nn/. */
export type Weights = ReadonlyMap<string, TensorData>;

/** An encoder as its folder describes it. */
export interface Checkpoint {
  /** What the manifest calls it: the repository's or folder's name. */
  readonly name: string;
  /** Hex SHA-256 over configuration, weights, tokenizer, pooling and prompts. */
  readonly sha256: string;
  /** As the model card states it, or 'unknown'. */
  readonly license: string;
  readonly config: CheckpointConfig;
  readonly pooling: Pooling;
  /** What the model expects before a query, such as an instruction; '' where nothing. */
  readonly queryPrompt: string;
  /** What the model expects before a document; '' where nothing. */
  readonly documentPrompt: string;
  readonly weights: Weights;
  readonly tokenizer: TextTokenizer;
  /** The text of `tokenizer.json`. */
  readonly tokenizerJson: string;
}

const Modules = z.array(z.object({ path: z.string(), type: z.string() }));
const PoolingConfig = z.object({
  pooling_mode_cls_token: z.boolean().default(false),
  pooling_mode_mean_tokens: z.boolean().default(false),
  pooling_mode_lasttoken: z.boolean().default(false),
  /** False would leave the prompt's tokens out of the mean. */
  include_prompt: z.literal(true).default(true),
});
const SentenceConfig = z.object({ max_seq_length: z.int().positive().nullish() });
const Prompts = z.object({
  prompts: z.object({ query: z.string().default(''), document: z.string().default('') }).prefault({}),
});

/** What a bare encoder gets; sentence-transformers' files say otherwise where they exist. */
const DEFAULT_POOLING: Readonly<Record<CheckpointConfig['model_type'], Pooling>> = {
  bert: { mode: 'mean', normalize: true },
  qwen3: { mode: 'last', normalize: true },
};

async function readPooling(
  folder: string,
  { model_type }: CheckpointConfig,
): Promise<{ pooling: Pooling; source: string }> {
  const modulesJson = await optionalText(join(folder, 'modules.json'));
  if (modulesJson === undefined) return { pooling: DEFAULT_POOLING[model_type], source: '' };
  const modules = parsed(Modules, modulesJson, join(folder, 'modules.json'));
  const unknown = modules.find(({ type }) => !/\.(Transformer|Pooling|Normalize)$/.test(type));
  if (unknown)
    throw new HarnessError('configuration', `${folder}: module ${unknown.type} of modules.json is not supported.`);
  const path = modules.find(({ type }) => type.endsWith('.Pooling'))?.path ?? '1_Pooling';
  const file = join(folder, path, 'config.json');
  const poolingJson = (await optionalText(file)) ?? '{"pooling_mode_mean_tokens": true}';
  const { pooling_mode_cls_token, pooling_mode_mean_tokens, pooling_mode_lasttoken } = parsed(
    PoolingConfig,
    poolingJson,
    file,
  );
  const flags = { cls: pooling_mode_cls_token, mean: pooling_mode_mean_tokens, last: pooling_mode_lasttoken };
  const modes = (['cls', 'mean', 'last'] as const).filter((mode) => flags[mode]);
  if (modes.length !== 1)
    throw new HarnessError(
      'configuration',
      `${file}: expected one of CLS, mean and last-token pooling, received ${modes.join(' and ') || 'none of them'}.`,
    );
  const normalize = modules.some(({ type }) => type.endsWith('.Normalize'));
  return { pooling: { mode: modes[0]!, normalize }, source: `${modulesJson}${poolingJson}` };
}

function weightsOf(tensors: ReadonlyMap<string, SafeTensor>, config: CheckpointConfig, where: string): Weights {
  return config.model_type === 'bert' ? bertWeights(tensors, config, where) : qwen3Weights(tensors, config, where);
}

/** Reads a checkpoint folder. @throws HarnessError in one line where it is incomplete, damaged or of an unsupported kind. */
export async function readCheckpoint(folder: string, name = basename(folder)): Promise<Checkpoint> {
  const configBytes = await requiredFile(folder, 'config.json');
  const tokenizerBytes = await requiredFile(folder, 'tokenizer.json');
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const json = async <S extends z.ZodType>(schema: S, file: string) =>
    parsed(schema, (await optionalText(join(folder, file))) ?? '{}', join(folder, file));
  const config = parsed(CheckpointConfig, text(configBytes), join(folder, 'config.json'));
  const { tensors, digests } = await readCheckpointTensors(folder);
  const { pooling, source } = await readPooling(folder, config);
  const { max_seq_length } = await json(SentenceConfig, 'sentence_bert_config.json');
  const { prompts } = await json(Prompts, 'config_sentence_transformers.json');
  const card = (await optionalText(join(folder, 'README.md'))) ?? '';
  const identity = [await sha256Hex(configBytes), ...digests, await sha256Hex(tokenizerBytes), source];
  if (prompts.query || prompts.document) identity.push(prompts.query, prompts.document);
  return {
    name,
    sha256: await sha256Hex(identity.join('\n')),
    license: /^license:\s*([\w.-]+)\s*$/m.exec(card)?.[1] ?? 'unknown',
    config,
    pooling,
    queryPrompt: prompts.query,
    documentPrompt: prompts.document,
    weights: weightsOf(tensors, config, folder),
    tokenizer: new TextTokenizer(text(tokenizerBytes), {
      maxTokens: Math.min(config.max_position_embeddings, max_seq_length ?? config.max_position_embeddings),
      padId: config.pad_token_id,
    }),
    tokenizerJson: text(tokenizerBytes),
  };
}
