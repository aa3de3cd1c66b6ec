/** Alignment of a tiny student: it learns, the same seed gives the same bytes, and a killed run ends where the whole one does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readTensors } from '../../../training/data/tensor-file.ts';
import { type AlignmentPart, type AlignOptions, align } from '../../../training/phases/align.ts';
import { evenlySpaced, layerImportance, mostImportant, prune } from '../../../training/phases/prune.ts';
import { floatModel, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint, type Weights } from '../../../training/teacher/checkpoint.ts';
import { TINY } from '../golden.ts';

const WORDS = 'red blue wool sock socks shoe run running for men cheap leather belt a of'.split(' ');
const TEXTS = WORDS.flatMap((a) => WORDS.slice(0, 6).map((b) => `${a} ${b}`));

let teacher: Checkpoint;
let parts: AlignmentPart[];
beforeAll(async () => {
  teacher = await readCheckpoint(TINY);
  const session = await TextEncoderSession.open(floatModel(teacher), {
    tokenizer: teacher.tokenizer,
    dimension: 32,
    threads: 1,
  });
  parts = await Promise.all(
    [TEXTS.slice(0, 50), TEXTS.slice(50)].map(async (texts) => {
      const vectors = await session.encode(texts);
      return { rows: texts.length, read: async () => ({ texts, vectors }) };
    }),
  );
  await session.close();
});
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-align-'));
});
afterEach(() => rm(folder, { recursive: true }));

const settings: AlignOptions['settings'] = {
  steps: 30,
  batch: 16,
  learningRate: 5e-3,
  warmupSteps: 3,
  finalRate: 0.1,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-6,
  clipNorm: 1,
  trainWords: false,
  checkpointEvery: 5,
};
const run = (options: Partial<AlignOptions> = {}) =>
  align({
    student: prune(teacher, { keep: [0, 2], maxTokens: 8 }),
    tokenizer: teacher.tokenizer,
    parts,
    settings,
    seed: 1,
    folder,
    threads: 1,
    ...options,
  });
const bytesOf = (weights: Weights) =>
  [...weights].map(([name, { data }]) => [name, Buffer.from(data.buffer).toString('base64')]);

describe('align', () => {
  it('brings the student closer to the teacher', async () => {
    const { losses } = await run();
    expect(losses.map(({ step }) => step)).toEqual([5, 10, 15, 20, 25, 30]);
    expect(losses.at(-1)!.loss).toBeLessThan(losses[0]!.loss * 0.6);
  });

  it('gives the same bytes for the same seed, and others for another', async () => {
    const first = await run();
    const again = await run({ folder: join(folder, 'again') });
    const other = await run({ folder: join(folder, 'other'), seed: 2 });
    expect(bytesOf(again.student.weights)).toEqual(bytesOf(first.student.weights));
    expect(bytesOf(other.student.weights)).not.toEqual(bytesOf(first.student.weights));
  });

  it('ends in the same bytes when it was killed on the way', async () => {
    const whole = await run({ folder: join(folder, 'whole') });
    let steps = 0;
    const killed = run({
      onStep(step) {
        steps++;
        // Between two checkpoints, as a kill would.
        if (step === 13) throw new Error('killed');
      },
    });
    await expect(killed).rejects.toThrow('killed');
    expect(steps).toBe(13);
    const seen: number[] = [];
    const resumed = await run({ onStep: (step) => seen.push(step) });
    expect(seen[0]).toBe(11);
    expect(bytesOf(resumed.student.weights)).toEqual(bytesOf(whole.student.weights));
    expect(resumed.losses).toEqual(whole.losses);
  });

  it.each([
    { optimizer: 'adamw', accumulate: 2, ema: 0.9, schedule: 'cosine' },
    { optimizer: 'muon', momentum: 0.95, objective: 'kernel', matryoshka: [8, 16] },
  ] as const)('ends in the same bytes when it was killed, with %o', async (more) => {
    const options = { settings: { ...settings, ...more, steps: 6, checkpointEvery: 2 } };
    const whole = await run({ ...options, folder: join(folder, 'whole') });
    const killed = run({
      ...options,
      onStep(step) {
        if (step === 5) throw new Error('killed');
      },
    });
    await expect(killed).rejects.toThrow('killed');
    const seen: number[] = [];
    const resumed = await run({ ...options, onStep: (step) => seen.push(step) });
    expect(seen).toEqual([5, 6]);
    expect(bytesOf(resumed.student.weights)).toEqual(bytesOf(whole.student.weights));
    expect(resumed.losses).toEqual(whole.losses);
  });

  it('gives the moving averages of the parameters where such are kept, and takes k batches an update', async () => {
    const dense = 'encoder.layer.0.output.dense.weight';
    const losses: number[] = [];
    const settled = { ...settings, steps: 4, checkpointEvery: 4, accumulate: 2 };
    await run({ settings: settled, folder: join(folder, 'plain'), onStep: (_, { loss }) => losses.push(loss) });
    const { student } = await run({ settings: { ...settled, ema: 0.9 } });
    const { tensors } = await readTensors(join(folder, 'state.safetensors'));
    expect(tensors.get('step')!.data[0]).toBe(4);
    expect(student.weights.get(dense)).toEqual(tensors.get(`ema.${dense}`));
    expect(student.weights.get(dense)).not.toEqual(tensors.get(dense));
    expect(losses).toHaveLength(4);
  });

  it('does nothing more once it has run to its end', async () => {
    const first = await run();
    const again = await run({ onStep: () => expect.unreachable() });
    expect(bytesOf(again.student.weights)).toEqual(bytesOf(first.student.weights));
  });

  it('leaves the word table alone unless told to train it', async () => {
    const word = 'embeddings.word_embeddings.weight';
    const before = bytesOf(teacher.weights).find(([name]) => name === word);
    expect(bytesOf((await run()).student.weights).find(([name]) => name === word)).toEqual(before);
    const trained = await run({ folder: join(folder, 'words'), settings: { ...settings, trainWords: true } });
    expect(bytesOf(trained.student.weights).find(([name]) => name === word)).not.toEqual(before);
  });
});

describe('prune', () => {
  it('keeps the layers named, renumbered, and shortens the position table', async () => {
    const student = prune(teacher, { keep: [0, 2], maxTokens: 8 });
    const name = 'attention.self.query.weight';
    expect(student.weights.get(`encoder.layer.1.${name}`)).toBe(teacher.weights.get(`encoder.layer.2.${name}`));
    expect(student.weights.has(`encoder.layer.2.${name}`)).toBe(false);
    expect(student.config).toMatchObject({ num_hidden_layers: 2, max_position_embeddings: 8 });
    expect(() => prune(teacher, { keep: [2, 0], maxTokens: 8 })).toThrow('ascending');
    expect(() => prune(teacher, { keep: [3], maxTokens: 8 })).toThrow('below 3');
  });

  it('keeps all layers as they are: the copy computes the same vectors', async () => {
    const open = (model: Uint8Array) =>
      TextEncoderSession.open(model, { tokenizer: teacher.tokenizer, dimension: 32, threads: 1 });
    const [a, b] = [
      await open(floatModel(teacher)),
      await open(floatModel(prune(teacher, { keep: [0, 1, 2], maxTokens: 12 }))),
    ];
    expect(await b.encode(TEXTS)).toEqual(await a.encode(TEXTS));
    await a.close();
    await b.close();
  });

  it('spaces layers evenly, ends included', () => {
    expect(evenlySpaced(6, 4)).toEqual([0, 2, 3, 5]);
    expect(evenlySpaced(12, 4)).toEqual([0, 4, 7, 11]);
    expect(evenlySpaced(6, 1)).toEqual([5]);
  });

  it('finds the layer that changes nothing to be the least important', async () => {
    const weights = new Map(teacher.weights);
    // A layer whose two output projections are zero only normalises what comes in.
    for (const part of ['attention.output.dense', 'output.dense']) {
      for (const kind of ['weight', 'bias']) {
        const name = `encoder.layer.1.${part}.${kind}`;
        const tensor = weights.get(name)!;
        weights.set(name, { ...tensor, data: new Float32Array(tensor.data.length) });
      }
    }
    const importance = await layerImportance(
      { ...teacher, weights },
      { texts: TEXTS.slice(0, 8), tokenizer: teacher.tokenizer },
    );
    expect(importance).toHaveLength(3);
    expect(mostImportant(importance, 2)).toEqual([0, 2]);
  });
});
