/** Progressive pruning: what is kept at each stage, losses over all stages, and the same bytes after a kill in a later stage. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AlignSettings, align } from '../../../training/phases/align.ts';
import { prune } from '../../../training/phases/prune.ts';
import { alignInStages, type ShrinkOptions, type Stage, stageSteps } from '../../../training/phases/shrink.ts';
import { floatModel, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint, type Weights } from '../../../training/teacher/checkpoint.ts';
import { TINY } from '../golden.ts';

const TEXTS = ['red', 'blue', 'wool', 'cheap'].flatMap((kind) =>
  ['sock', 'shoe', 'belt'].map((thing) => `${kind} ${thing}`),
);

let teacher: Checkpoint;
let parts: ShrinkOptions['parts'];
beforeAll(async () => {
  teacher = await readCheckpoint(TINY);
  const { tokenizer } = teacher;
  const session = await TextEncoderSession.open(floatModel(teacher), { tokenizer, dimension: 32, threads: 1 });
  const vectors = await session.encode(TEXTS);
  await session.close();
  parts = [{ rows: TEXTS.length, read: async () => ({ texts: TEXTS, vectors }) }];
});
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-shrink-'));
});
afterEach(() => rm(folder, { recursive: true }));

const settings: AlignSettings = {
  steps: 10,
  batch: 4,
  learningRate: 5e-3,
  warmupSteps: 2,
  finalRate: 0.1,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-6,
  clipNorm: 1,
  trainWords: false,
  checkpointEvery: 2,
};
const options = (more: Partial<ShrinkOptions> = {}): ShrinkOptions => ({
  start: teacher,
  stages: [
    { layers: 2, intermediate: 48, share: 0.4 },
    { layers: 1, intermediate: 32, share: 0.6 },
  ],
  select: 'importance',
  calibration: TEXTS,
  tokenizer: teacher.tokenizer,
  parts,
  settings,
  seed: 1,
  folder,
  threads: 1,
  ...more,
});
const bytesOf = (weights: Weights) =>
  [...weights].map(([name, { data }]) => [
    name,
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
  ]);

describe('alignInStages', () => {
  it('ends in the same bytes when it was killed in a later stage', async () => {
    const told: Stage[] = [];
    const whole = await alignInStages(options({ folder: join(folder, 'whole'), onStage: (stage) => told.push(stage) }));
    expect(whole.student.config).toMatchObject({ num_hidden_layers: 1, intermediate_size: 32 });
    expect(whole.losses.map(({ step }) => step)).toEqual([2, 4, 6, 8, 10]);
    expect(whole.stages).toEqual(told);
    expect(told.map(({ intermediate, steps }) => [intermediate, steps])).toEqual([
      [48, 4],
      [32, 6],
    ]);
    // Layers are numbered as in the model that was started from.
    expect(told[0]!.layers).toHaveLength(2);
    expect(told[0]!.layers).toContain(told[1]!.layers[0]);

    const again = options({ folder: join(folder, 'again') });
    const killed = alignInStages({
      ...again,
      onStep(step) {
        if (step === 7) throw new Error('killed');
      },
    });
    await expect(killed).rejects.toThrow('killed');
    const kept = await readFile(join(folder, 'again/stage-1/kept.json'), 'utf8');
    const seen: number[] = [];
    // What was kept is read, not measured again.
    const resumed = await alignInStages({ ...again, calibration: ['men'], onStep: (step) => seen.push(step) });
    expect(seen).toEqual([7, 8, 9, 10]);
    expect(await readFile(join(folder, 'again/stage-1/kept.json'), 'utf8')).toBe(kept);
    expect(bytesOf(resumed.student.weights)).toEqual(bytesOf(whole.student.weights));
    expect(resumed.losses).toEqual(whole.losses);
    expect(resumed.stages).toEqual(whole.stages);
  });

  it('is plain alignment of the pruned student in one stage', async () => {
    const jump = await alignInStages(options({ stages: [{ layers: 2, share: 1 }], select: 'even' }));
    const {
      calibration: _,
      start: __,
      stages: ___,
      select: ____,
      ...rest
    } = options({ folder: join(folder, 'plain') });
    const plain = await align({ ...rest, student: prune(teacher, { keep: [0, 2], maxTokens: 12 }) });
    expect(jump.stages).toEqual([{ stage: 0, layers: [0, 2], intermediate: 64, steps: 10 }]);
    expect(bytesOf(jump.student.weights)).toEqual(bytesOf(plain.student.weights));
  });

  it('refuses stages that grow, in one line', async () => {
    const stages = [{ layers: 4, share: 1 }];
    await expect(alignInStages(options({ stages }))).rejects.toThrow(
      'expected at most the 3 layers x 64 units of the student, received 4 x 64.',
    );
  });
});

describe('stageSteps', () => {
  const share = (...shares: number[]) => shares.map((value) => ({ layers: 1, share: value }));
  it('gives each stage its share and loses nothing to rounding', () => {
    expect(stageSteps(share(1 / 3, 1 / 3, 1 / 3), 100)).toEqual([33, 34, 33]);
    expect(stageSteps(share(0.1, 0.2, 0.7), 10)).toEqual([1, 2, 7]);
    expect(() => stageSteps(share(0.5, 0.4), 10)).toThrow('add up to 1');
    expect(() => stageSteps(share(0.01, 0.99), 10)).toThrow('at least one update each');
  });
});
