/** The encoder against PyTorch: vectors of a committed random checkpoint, and of a real one where it is at hand. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { channelRanges, floatModel, int8Model, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import encoders from '../../golden/encoders.json' with { type: 'json' };
import { cosine, expectedTiny, leastCosine, TINY } from '../golden.ts';

const DIM = 32;
const expected = expectedTiny();
let checkpoint: Checkpoint;
beforeAll(async () => {
  checkpoint = await readCheckpoint(TINY);
});

const open = (model: Uint8Array, dimension = DIM) =>
  TextEncoderSession.open(model, { tokenizer: checkpoint.tokenizer, dimension, threads: 1 });

describe('a random checkpoint', () => {
  it.each(['mean', 'cls'] as const)('equals the reference with %s pooling, in any batch', async (mode) => {
    const session = await open(floatModel({ ...checkpoint, pooling: { mode, normalize: true } }));
    for (const batchTokens of [1, 1024]) {
      const vectors = await session.encode(expected.texts, { batchTokens });
      expect(leastCosine(vectors, expected[mode], DIM)).toBeGreaterThanOrEqual(0.9999);
      expect(Math.abs(vectors[0]! - expected[mode][0]!)).toBeLessThan(1e-4);
    }
    await session.close();
  });

  it('does not see padding', async () => {
    const session = await open(floatModel(checkpoint));
    const vectors = await session.run(checkpoint.tokenizer.pad(expected.ids));
    expect(leastCosine(vectors, expected.mean, DIM)).toBeGreaterThanOrEqual(0.9999);
    await session.close();
  });

  it('gives a text the same bits alone and in a batch', async () => {
    const session = await open(floatModel(checkpoint));
    const texts = ['red belt', 'wool sock', 'cheap shoe', 'a belt of wool', 'men'];
    expect(await session.encode(texts, { batchTokens: 1 })).toEqual(await session.encode(texts));
    await session.close();
  });

  it('reads pooling from the files of sentence-transformers', () => {
    expect(checkpoint.pooling).toEqual({ mode: 'mean', normalize: true });
  });

  it('cuts a text that is too long, keeping the closing token', () => {
    const ids = checkpoint.tokenizer.encode('red '.repeat(40));
    expect(ids).toHaveLength(12);
    expect([ids[0], ids.at(-1)]).toEqual([2, 3]);
  });

  it('tokenises as the reference does', () => {
    expect(expected.texts.map((text) => checkpoint.tokenizer.encode(text))).toEqual(expected.ids);
  });
});

// Weights below 65,536 elements stay float32, so int8 is shown on the real checkpoint and in onnx/quantize.test.ts.
const REAL = '.cache/checkpoints/sentence-transformers/all-MiniLM-L6-v2';
const { real: golden } = encoders;
const found = existsSync(join(REAL, 'model.safetensors'));
describe.skipIf(!found)(
  `all-MiniLM-L6-v2${found ? '' : ` (skipped: no checkpoint in ${REAL}; npm run recipe fetches it)`}`,
  () => {
    let real: Checkpoint;
    beforeAll(async () => {
      real = await readCheckpoint(REAL);
    });
    const sessions: TextEncoderSession[] = [];
    afterAll(async () => {
      for (const session of sessions) await session.close();
    });
    const encode = async (model: Uint8Array) => {
      const session = await TextEncoderSession.open(model, { tokenizer: real.tokenizer, dimension: 384, threads: 1 });
      sessions.push(session);
      return session.encode(golden.texts, { batchTokens: 1 });
    };

    it('tokenises as the reference does', () => {
      expect(golden.texts.map((text) => real.tokenizer.encode(text))).toEqual(golden.ids);
    });

    it('equals the reference in fp32', async () => {
      expect(leastCosine(await encode(floatModel(real)), golden.vectors.flat(), 384)).toBeGreaterThanOrEqual(0.9999);
    });

    it('stays close to the reference in int8', async () => {
      const texts = [
        'red shoes',
        'stainless steel kettle with lid',
        'cheap wool blankets',
        'garden hose',
        'buy a guitar online',
      ];
      const ranges = await channelRanges(real, { texts, tokenizer: real.tokenizer });
      const vectors = await encode(int8Model(real, { weightLimit: 127, ranges }));
      const each = golden.vectors.map((vector, i) => cosine(vector, vectors.subarray(i * 384, (i + 1) * 384)));
      expect(each.reduce((sum, value) => sum + value, 0) / each.length).toBeGreaterThanOrEqual(0.99);
    });
  },
);
