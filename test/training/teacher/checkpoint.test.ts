/** Checkpoints in the forms they come in: shards, half precision, prompts, pooling, a causal language model's names. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors, type SafeTensor, toFloat32, writeSafetensors } from '../../../shared/safetensors.ts';
import { floatModel, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { TINY } from '../golden.ts';
import { goldenOf, tinyContainer, tinyShards, tinyTensors, writeTiny } from '../tiny-checkpoint.ts';

const tiny = goldenOf('qwen3');
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-checkpoint-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Every tensor in 16 bits: the upper half of float32 (bfloat16), or IEEE half precision. */
function halved(tensors: ReadonlyMap<string, SafeTensor>, dtype: 'BF16' | 'F16'): Map<string, SafeTensor> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const values = toFloat32(tensor);
      const bits =
        dtype === 'F16'
          ? new Uint16Array(new Float16Array(values).buffer)
          : Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), (word) => word >>> 16);
      return [name, { dtype, shape: tensor.shape, data: new Uint8Array(bits.buffer) }];
    }),
  );
}

async function vectorsOf(checkpoint: Checkpoint): Promise<Float32Array> {
  const { tokenizer, config } = checkpoint;
  const session = await TextEncoderSession.open(floatModel(checkpoint), {
    tokenizer,
    dimension: config.hidden_size,
    threads: 1,
  });
  const vectors = await session.encode(tiny.texts);
  await session.close();
  return vectors;
}

describe('readCheckpoint', () => {
  it('puts shards together', async () => {
    await writeTiny(folder, tiny, { files: tinyShards(tiny) });
    const sharded = await readCheckpoint(folder);
    await writeTiny(join(folder, 'whole'), tiny);
    const whole = await readCheckpoint(join(folder, 'whole'));
    expect(sharded.weights).toEqual(whole.weights);
    expect(sharded.sha256).not.toBe(whole.sha256);
  });

  it('names a shard that is missing', async () => {
    const { 'model-00002-of-00002.safetensors': _, ...rest } = tinyShards(tiny);
    await writeTiny(folder, tiny, { files: rest });
    await expect(readCheckpoint(folder)).rejects.toThrow(/found no model-00002-of-00002\.safetensors/);
  });

  it('reads no file outside the folder', async () => {
    const index = JSON.stringify({ weight_map: { 'norm.weight': '../elsewhere.safetensors' } });
    await writeTiny(folder, tiny, { files: { 'model.safetensors.index.json': index } });
    await expect(readCheckpoint(folder)).rejects.toThrow(/index\.json: weight_map\.norm\.weight/);
  });

  it.each([
    ['BF16', 2 ** -7],
    ['F16', 2 ** -10],
  ] as const)('reads %s', async (dtype, step) => {
    const exact = tinyTensors(tiny);
    await writeTiny(folder, tiny, { files: { 'model.safetensors': tinyContainer(halved(exact, dtype)) } });
    const { weights } = await readCheckpoint(folder);
    const gain = weights.get('layers.1.input_layernorm.weight')!;
    expect(gain.dtype).toBe('float32');
    toFloat32(exact.get('layers.1.input_layernorm.weight')!).forEach((value, i) => {
      expect(Math.abs((gain.data[i] as number) - value)).toBeLessThanOrEqual(value * step);
    });
  });

  it("reads a causal language model's names, and leaves its head out", async () => {
    const named = [...tinyTensors(tiny)].map(([name, tensor]): [string, SafeTensor] => [`model.${name}`, tensor]);
    const head: [string, SafeTensor] = ['lm_head.weight', named[0]![1]];
    await writeTiny(folder, tiny, { files: { 'model.safetensors': tinyContainer([...named, head]) } });
    const { weights } = await readCheckpoint(folder);
    expect([...weights.keys()].sort()).toEqual(Object.keys(tiny.tensors).sort());
  });

  it('reads the rotation base where newer files keep it', async () => {
    const { rope_theta, rope_scaling: _, ...config } = tiny.config;
    await writeTiny(folder, tiny);
    const old = await vectorsOf(await readCheckpoint(folder));
    await writeTiny(folder, tiny, { config: { ...config, rope_parameters: { rope_type: 'default', rope_theta } } });
    expect(await vectorsOf(await readCheckpoint(folder))).toEqual(old);
    await writeTiny(folder, tiny, { config: { ...config, rope_theta: 100 } });
    expect(await vectorsOf(await readCheckpoint(folder))).not.toEqual(old);
  });

  it('reads prompts, which are part of what the checkpoint is', async () => {
    await writeTiny(folder, tiny);
    const checkpoint = await readCheckpoint(folder);
    expect(checkpoint).toMatchObject({ queryPrompt: tiny.prompt, documentPrompt: '', pooling: { mode: 'last' } });
    await writeTiny(folder, { ...tiny, prompt: '' });
    const bare = await readCheckpoint(folder);
    expect(bare.queryPrompt).toBe('');
    expect(bare.sha256).not.toBe(checkpoint.sha256);
  });

  it('pools a bare folder as its architecture is used', async () => {
    for (const [name, mode] of [
      ['qwen3', 'last'],
      ['bert', 'mean'],
    ] as const) {
      const bare = join(folder, name);
      await writeTiny(bare, goldenOf(name), { pooling: 'cls' });
      expect((await readCheckpoint(bare)).pooling).toEqual({ mode: 'cls', normalize: true });
      await rm(join(bare, 'modules.json'));
      expect((await readCheckpoint(bare)).pooling).toEqual({ mode, normalize: true });
    }
  });

  it('cuts a text that is too long, keeping the closing token', async () => {
    await writeTiny(folder, tiny, { config: { ...tiny.config, max_position_embeddings: 4 } });
    const [whole] = tiny.ids;
    expect((await readCheckpoint(folder)).tokenizer.encode(tiny.texts[0]!)).toEqual([...whole!.slice(0, 3), 0]);
    const open = { ...tiny, tokenizer: { ...tiny.tokenizer, post_processor: null } };
    await writeTiny(folder, open, { config: { ...tiny.config, max_position_embeddings: 4 } });
    expect((await readCheckpoint(folder)).tokenizer.encode(tiny.texts[0]!)).toEqual(whole!.slice(0, 4));
  });
});

describe('a checkpoint that is not whole', () => {
  const damaged = async (change: (copy: string) => Promise<void>): Promise<string> => {
    const copy = join(folder, 'copy');
    await cp(TINY, copy, { recursive: true });
    await change(copy);
    return copy;
  };

  it.each<[string, (copy: string) => Promise<void>, RegExp]>([
    ['a missing file', (copy) => rm(join(copy, 'tokenizer.json')), /found no tokenizer\.json/],
    [
      'another architecture',
      (copy) => writeFile(join(copy, 'config.json'), '{"model_type":"t5"}'),
      /model_type: .*'bert' \| 'qwen3'/,
    ],
    ['a cut file', (copy) => writeFile(join(copy, 'model.safetensors'), 'short'), /not a whole safetensors file/],
    ['a tokenizer that is none', (copy) => writeFile(join(copy, 'tokenizer.json'), '{}'), /tokenizer\.json: expected/],
    [
      'a missing tensor',
      async (copy) => {
        const path = join(copy, 'model.safetensors');
        const file = readSafetensors(Uint8Array.from(await readFile(path)));
        file.tensors.delete('encoder.layer.2.output.dense.weight');
        await writeFile(path, writeSafetensors(file));
      },
      /encoder\.layer\.2\.output\.dense\.weight: expected \[32, 64\], found none/,
    ],
    [
      'an unknown module',
      (copy) =>
        writeFile(join(copy, 'modules.json'), '[{"path":"2_Dense","type":"sentence_transformers.models.Dense"}]'),
      /models\.Dense of modules\.json is not supported/,
    ],
  ])('names %s in one line', async (_, change, message) => {
    await expect(readCheckpoint(await damaged(change))).rejects.toThrow(message);
  });
});
