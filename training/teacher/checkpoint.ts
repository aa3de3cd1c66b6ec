/**
 * Reads an encoder checkpoint: a folder with `config.json`, `model.safetensors` and `tokenizer.json`, and, where sentence-transformers
 * wrote them, `modules.json`, the pooling configuration and `sentence_bert_config.json`.
 *
 * Weights come out in the layout of nn/: dense weights as [in, out], token type 0 folded into the position table.
 */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { sha256Hex } from '../../shared/digest.ts';
import { HarnessError } from '../../shared/problem.ts';
import { readSafetensors, type SafeTensors, toFloat32 } from '../../shared/safetensors.ts';
import { BERT, BertConfig } from '../nn/bert.ts';
import type { EncoderConfig, Pooling } from '../nn/encoder.ts';
import type { TensorData } from '../onnx/model.ts';
import { TextTokenizer } from './tokenizer.ts';

/** Parameters by name, in the layout of nn/. */
export type Weights = ReadonlyMap<string, TensorData>;

export interface Checkpoint {
  /** What the manifest calls it: the repository's or folder's name. */
  readonly name: string;
  /** Hex SHA-256 over configuration, weights, tokenizer and pooling. */
  readonly sha256: string;
  /** As the model card states it, or 'unknown'. */
  readonly license: string;
  readonly config: EncoderConfig;
  readonly pooling: Pooling;
  readonly weights: Weights;
  readonly tokenizer: TextTokenizer;
  /** The text of `tokenizer.json`. */
  readonly tokenizerJson: string;
}

const Modules = z.array(z.object({ path: z.string(), type: z.string() }));
const PoolingConfig = z.object({
  pooling_mode_cls_token: z.boolean().default(false),
  pooling_mode_mean_tokens: z.boolean().default(false),
});
const SentenceConfig = z.object({ max_seq_length: z.int().positive().optional() });

/** A file's text, or undefined where there is none. */
async function optional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function required(folder: string, file: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return Uint8Array.from(await readFile(join(folder, file)));
  } catch (cause) {
    throw new HarnessError(
      'not_found',
      `${folder}: expected a checkpoint folder with config.json, model.safetensors and tokenizer.json, found no ${file}.`,
      { cause },
    );
  }
}

function parsed<S extends z.ZodType>(schema: S, json: string, where: string): z.infer<S> {
  try {
    return schema.parse(JSON.parse(json));
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    const why = issue ? `${issue.path.join('.')}: ${issue.message}` : 'not JSON';
    throw new HarnessError('configuration', `${where}: ${why}; supported are BERT encoders (model_type "bert").`, {
      cause,
    });
  }
}

/** Mean pooling without normalisation is what a bare encoder gets; sentence-transformers' files say otherwise where they exist. */
async function readPooling(folder: string): Promise<{ pooling: Pooling; source: string }> {
  const modulesJson = await optional(join(folder, 'modules.json'));
  if (modulesJson === undefined) return { pooling: { mode: 'mean', normalize: true }, source: '' };
  const modules = parsed(Modules, modulesJson, join(folder, 'modules.json'));
  const unknown = modules.find(({ type }) => !/\.(Transformer|Pooling|Normalize)$/.test(type));
  if (unknown)
    throw new HarnessError('configuration', `${folder}: module ${unknown.type} of modules.json is not supported.`);
  const path = modules.find(({ type }) => type.endsWith('.Pooling'))?.path ?? '1_Pooling';
  const file = join(folder, path, 'config.json');
  const poolingJson = (await optional(file)) ?? '{"pooling_mode_mean_tokens": true}';
  const { pooling_mode_cls_token: cls, pooling_mode_mean_tokens: mean } = parsed(PoolingConfig, poolingJson, file);
  if (cls === mean) throw new HarnessError('configuration', `${file}: expected either CLS or mean pooling.`);
  const normalize = modules.some(({ type }) => type.endsWith('.Normalize'));
  return { pooling: { mode: cls ? 'cls' : 'mean', normalize }, source: `${modulesJson}${poolingJson}` };
}

/** [out, in] -> [in, out]. */
function transposed(values: Float32Array, [rows, columns]: readonly [number, number]): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j]!;
  return result;
}

/** The encoder's parameters from the tensors of a BERT checkpoint. @throws HarnessError naming a missing or misshapen tensor. */
export function bertWeights({ tensors }: SafeTensors, config: BertConfig, where: string): Map<string, TensorData> {
  const prefix = tensors.has(`bert.${BERT.wordTable}`) ? 'bert.' : '';
  const weights = new Map<string, TensorData>();
  const read = (name: string, shape: readonly number[]): Float32Array => {
    const tensor = tensors.get(prefix + name);
    if (!tensor || tensor.shape.join() !== shape.join()) {
      const found = tensor ? `[${tensor.shape.join(', ')}]` : 'none';
      throw new HarnessError(
        'bundle_damaged',
        `${where}: tensor ${prefix}${name}: expected [${shape.join(', ')}], found ${found}.`,
      );
    }
    return toFloat32(tensor);
  };
  const keep = (name: string, shape: readonly number[], data = read(name, shape)) =>
    weights.set(name, { dtype: 'float32', shape, data: Float32Array.from(data) });
  const dense = (name: string, [inputs, outputs]: readonly [number, number]) => {
    const weight = read(`${name}.weight`, [outputs, inputs]);
    weights.set(`${name}.weight`, {
      dtype: 'float32',
      shape: [inputs, outputs],
      data: transposed(weight, [outputs, inputs]),
    });
    keep(`${name}.bias`, [outputs]);
  };
  const norm = (name: string) => {
    keep(`${name}.weight`, [config.hidden_size]);
    keep(`${name}.bias`, [config.hidden_size]);
  };

  const hidden = config.hidden_size;
  keep(BERT.wordTable, [config.vocab_size, hidden]);
  const positions = Float32Array.from(read(BERT.positionTable, [config.max_position_embeddings, hidden]));
  const types = read('embeddings.token_type_embeddings.weight', [config.type_vocab_size, hidden]);
  for (let i = 0; i < positions.length; i++) positions[i] = positions[i]! + types[i % hidden]!;
  keep(BERT.positionTable, [config.max_position_embeddings, hidden], positions);
  norm('embeddings.LayerNorm');
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = BERT.layerPrefix(layer);
    for (const name of ['query', 'key', 'value']) dense(`${at}attention.self.${name}`, [hidden, hidden]);
    dense(`${at}attention.output.dense`, [hidden, hidden]);
    norm(`${at}attention.output.LayerNorm`);
    dense(`${at}intermediate.dense`, [hidden, config.intermediate_size]);
    dense(`${at}output.dense`, [config.intermediate_size, hidden]);
    norm(`${at}output.LayerNorm`);
  }
  return weights;
}

/** Reads a checkpoint folder. @throws HarnessError in one line where it is incomplete, damaged or of an unsupported kind. */
export async function readCheckpoint(folder: string, name = basename(folder)): Promise<Checkpoint> {
  const configBytes = await required(folder, 'config.json');
  const weightBytes = await required(folder, 'model.safetensors');
  const tokenizerBytes = await required(folder, 'tokenizer.json');
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const config = parsed(BertConfig, text(configBytes), join(folder, 'config.json'));
  const { pooling, source } = await readPooling(folder);
  const sentence = parsed(SentenceConfig, (await optional(join(folder, 'sentence_bert_config.json'))) ?? '{}', folder);
  const card = (await optional(join(folder, 'README.md'))) ?? '';
  const digests = await Promise.all([configBytes, weightBytes, tokenizerBytes].map((bytes) => sha256Hex(bytes)));
  return {
    name,
    sha256: await sha256Hex([...digests, source].join('\n')),
    license: /^license:\s*([\w.-]+)\s*$/m.exec(card)?.[1] ?? 'unknown',
    config,
    pooling,
    weights: bertWeights(readSafetensors(weightBytes, join(folder, 'model.safetensors')), config, folder),
    tokenizer: new TextTokenizer(text(tokenizerBytes), {
      maxTokens: Math.min(config.max_position_embeddings, sentence.max_seq_length ?? config.max_position_embeddings),
      padId: config.pad_token_id,
    }),
    tokenizerJson: text(tokenizerBytes),
  };
}
