/**
 * The tiny checkpoints of golden/encoders.json as folders: their weights come from the formula that bench/peers/encoders.py states,
 * so that no weights lie in the repository.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromFloat32, type SafeTensor, writeSafetensors } from '../../shared/safetensors.ts';
import type { EncoderConfig, Pooling } from '../../training/nn/encoder.ts';
import golden from '../golden/encoders.json' with { type: 'json' };

export interface TinyGolden {
  readonly name: 'bert' | 'qwen3';
  readonly config: Readonly<Record<string, unknown>> & {
    readonly hidden_size: number;
    readonly num_hidden_layers: number;
  };
  readonly tokenizer: object;
  readonly prompt: string;
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  readonly texts: readonly string[];
  readonly ids: readonly (readonly number[])[];
  readonly promptedIds: readonly (readonly number[])[];
  /** [layers + 1][unmasked tokens of all texts x hidden], before any final norm. */
  readonly states: readonly (readonly number[])[];
  /** [texts x hidden] by pooling, normalised. */
  readonly vectors: Readonly<Partial<Record<Pooling['mode'], readonly number[]>>>;
  readonly promptedVectors: Readonly<Partial<Record<Pooling['mode'], readonly number[]>>>;
  /** Of the mean squared distance to `target`, with the first pooling of `vectors`. */
  readonly gradient: {
    readonly loss: number;
    readonly norms: Readonly<Record<string, number>>;
    /** First rows, as PyTorch stores them; word and position tables left out. */
    readonly rows: Readonly<Record<string, readonly number[]>>;
  };
}

export const TINY_GOLDEN = golden.tiny as unknown as readonly TinyGolden[];
export const goldenOf = (name: EncoderConfig['model_type']): TinyGolden =>
  TINY_GOLDEN.find((one) => one.name === name)!;

function fnv1a(name: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) value = Math.imul(value ^ byte, 0x01000193);
  return value;
}

/** In [-0.5, 0.5): the finaliser of MurmurHash3 over hash + i * golden ratio. */
export function uniform(name: string, count: number): Float32Array<ArrayBuffer> {
  const hash = fnv1a(name);
  return Float32Array.from({ length: count }, (_, i) => {
    let x = hash + Math.imul(i, 0x9e3779b9);
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32 - 0.5;
  });
}

/** The tensors of a tiny checkpoint, as PyTorch would store them. */
export function tinyTensors({ tensors }: TinyGolden): Map<string, SafeTensor> {
  return new Map(
    Object.entries(tensors).map(([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const gain = /norm\.weight$/i.test(name) ? 1 : 0;
      const values = uniform(name, count).map((value) => (shape.length === 1 ? value / 2 + gain : value));
      return [name, fromFloat32(values, [...shape])];
    }),
  );
}

/** A `model.safetensors` of these tensors. */
export const tinyContainer = (tensors: Iterable<[string, SafeTensor]>): Uint8Array =>
  writeSafetensors({ tensors: new Map(tensors), metadata: {} });

/** The weights as two shards and their index, with tensors dealt in turn. */
export function tinyShards(tiny: TinyGolden): Record<string, Uint8Array | string> {
  const file = (i: number) => `model-0000${(i % 2) + 1}-of-00002.safetensors`;
  const entries = [...tinyTensors(tiny)];
  const index = { metadata: {}, weight_map: Object.fromEntries(entries.map(([name], i) => [name, file(i)])) };
  return {
    'model.safetensors.index.json': JSON.stringify(index),
    [file(0)]: tinyContainer(entries.filter((_, i) => i % 2 === 0)),
    [file(1)]: tinyContainer(entries.filter((_, i) => i % 2 === 1)),
  };
}

const POOLING_FLAGS = {
  mean: 'pooling_mode_mean_tokens',
  cls: 'pooling_mode_cls_token',
  last: 'pooling_mode_lasttoken',
} as const;

export interface TinyFolder {
  readonly pooling?: Pooling['mode'];
  readonly config?: object;
  /** Files of weights by name. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
}

/** Writes a checkpoint folder in the form of sentence-transformers. */
export async function writeTiny(folder: string, tiny: TinyGolden, options: TinyFolder = {}): Promise<void> {
  const { pooling = Object.keys(tiny.vectors)[0] as Pooling['mode'], config = tiny.config } = options;
  const files = options.files ?? { 'model.safetensors': tinyContainer(tinyTensors(tiny)) };
  const module = (path: string, kind: string) => ({ path, type: `sentence_transformers.models.${kind}` });
  const json: Record<string, unknown> = {
    'config.json': config,
    'tokenizer.json': tiny.tokenizer,
    'modules.json': [module('', 'Transformer'), module('1_Pooling', 'Pooling'), module('2_Normalize', 'Normalize')],
    '1_Pooling/config.json': { [POOLING_FLAGS[pooling]]: true, include_prompt: true },
    'config_sentence_transformers.json': { prompts: { query: tiny.prompt, document: '' }, default_prompt_name: null },
  };
  await mkdir(join(folder, '1_Pooling'), { recursive: true });
  for (const [file, content] of Object.entries(json)) await writeFile(join(folder, file), JSON.stringify(content));
  for (const [file, content] of Object.entries(files)) await writeFile(join(folder, file), content);
}
