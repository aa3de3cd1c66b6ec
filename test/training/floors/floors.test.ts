/** The trained floors on a tiny teacher: where they start, that they learn what a student learns, and that a finished run is read back. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClickedQuery } from '../../../training/data/pairs.ts';
import type { Floor } from '../../../training/floors/floor.ts';
import { encoderOf } from '../../../training/floors/floor.ts';
import { trainNaiveStudent } from '../../../training/floors/naive.ts';
import {
  enclosing,
  frequencyWeights,
  type StaticOptions,
  staticStudent,
  trainStaticStudent,
} from '../../../training/floors/static.ts';
import { prune } from '../../../training/phases/prune.ts';
import { type Checkpoint, readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { cosine, TINY } from '../golden.ts';

const DIMENSION = 32;
/** Tokens of the tiny vocabulary, and so the rank of their vectors. */
const RANK = 20;
const THINGS = ['sock', 'shoe', 'belt', 'leather', 'wool', 'men'];
const KINDS = ['red', 'blue', 'cheap', 'running'];
/** Every query means the ad of another thing than it names: only the clicks say so. */
const QUERIES: ClickedQuery[] = KINDS.flatMap((kind) =>
  THINGS.map((thing, i) => ({
    text: `${kind} ${thing}`,
    market: 'us',
    ads: [{ row: (i + 1) % THINGS.length, weight: 0.3 }],
  })),
);
const TEXTS = QUERIES.map(({ text }) => text);

let teacher: Checkpoint;
let ads: Float32Array;
let targets: Float32Array;
beforeAll(async () => {
  teacher = await readCheckpoint(TINY);
  const encode = encoderOf(teacher, { tokenizer: teacher.tokenizer, threads: 1 });
  ads = await encode(THINGS);
  targets = await encode(TEXTS);
});
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-floors-'));
});
afterEach(() => rm(folder, { recursive: true }));

const optimization = {
  batch: 8,
  warmupSteps: 5,
  finalRate: 0.1,
  weightDecay: 0,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-6,
  clipNorm: 1,
  checkpointEvery: 20,
};
const refinement = {
  ...optimization,
  steps: 60,
  learningRate: 2e-2,
  temperature: 0.1,
  falseNegativeMargin: 2,
  negatives: { depth: 3, cap: 1, perQuery: 1, refreshEvery: 0 },
  clusters: 0,
  coClicks: { weight: 0, perAd: 8 },
};
/** As many as all steps take, so that refinement is one round. */
const LOG = Array.from({ length: 20 }, () => QUERIES).flat();
const clicked = [{ rows: LOG.length, read: async () => LOG }];
const shared = () => ({ tokenizer: teacher.tokenizer, ads, booked: () => true, seed: 1, folder, threads: 1 });
const options = (dimension = 16): StaticOptions => ({
  ...shared(),
  teacher,
  clicked,
  parts: [{ rows: TEXTS.length, read: async () => ({ texts: TEXTS, vectors: targets }) }],
  settings: {
    dimension,
    sif: 1e-3,
    align: { ...alignment, steps: 120 },
    refine: refinement,
  },
});
const alignment = { ...optimization, learningRate: 1e-2, trainWords: true } as StaticOptions['settings']['align'];

const row = (vectors: Float32Array, i: number) => vectors.subarray(i * DIMENSION, (i + 1) * DIMENSION);
/** Mean cosine with the teacher's vectors. */
const nearness = (vectors: Float32Array) =>
  TEXTS.reduce((sum, _, i) => sum + cosine(row(vectors, i), row(targets, i)), 0) / TEXTS.length;
/** Share of the queries whose nearest ad is the clicked one. */
const right = (vectors: Float32Array) =>
  QUERIES.filter(({ ads: [ad] }, i) => {
    const scores = THINGS.map((_, thing) => cosine(row(vectors, i), row(ads, thing)));
    return scores.indexOf(Math.max(...scores)) === ad!.row;
  }).length / QUERIES.length;
const bytes = ({ model }: Floor) =>
  [...model.weights].map(([name, { data }]) => [name, Array.from(data as Float32Array)]);

describe('the static student', () => {
  it('starts from what the teacher makes of each token alone', async () => {
    const vectors = await encoderOf(await staticStudent(options(RANK)), shared())(THINGS);
    // Special tokens weigh nothing, and all components are kept: one token is exactly the teacher's vector of it.
    for (const i of THINGS.keys()) expect(cosine(row(vectors, i), row(ads, i))).toBeCloseTo(1, 5);
  });

  it('is the weighted sum of its tokens', async () => {
    const { weights } = await staticStudent(options(RANK));
    const [table, back] = [weights.get('tokens')!, weights.get('projection.weight')!].map(
      ({ data }) => data as Float32Array,
    );
    const ids = teacher.tokenizer.encode('red wool');
    const sum = Float64Array.from({ length: RANK }, (_, j) =>
      ids.reduce((total, id) => total + table![id * RANK + j]!, 0),
    );
    const expected = Float64Array.from({ length: DIMENSION }, (_, i) =>
      sum.reduce((total, value, j) => total + value * back![j * DIMENSION + i]!, 0),
    );
    const vector = await encoderOf(await staticStudent(options(RANK)), shared())(['red wool']);
    expect(cosine(vector, expected)).toBeCloseTo(1, 5);
  });

  it('is aligned with the teacher, then learns what was clicked, and is read back from its folder', async () => {
    const before = await encoderOf(await staticStudent(options()), shared())(TEXTS);
    const phases: string[] = [];
    const trained = await trainStaticStudent({ ...options(), onStep: (phase) => phases.push(phase) });
    expect(phases).toEqual([...Array(120).fill('align'), ...Array(60).fill('refine')]);
    expect(trained.losses.align!.at(-1)!.loss).toBeLessThan(0.5 * 2 * (1 - nearness(before)));
    expect(right(before)).toBeLessThan(0.5);
    expect(right(await trained.encode(TEXTS))).toBe(1);
    const again = await trainStaticStudent({ ...options(), onStep: () => expect.unreachable() });
    expect(bytes(again)).toEqual(bytes(trained));
  });

  it('refuses more components than the teacher has', async () => {
    await expect(staticStudent(options(DIMENSION + 1))).rejects.toThrow('at most 32 dimensions, received 33');
  });

  it('finds the tokens that enclose every text', () => {
    const [before, after] = enclosing(teacher.tokenizer);
    expect([...before, 7, 8, ...after]).toHaveLength(teacher.tokenizer.encode('red wool').length);
    expect(teacher.tokenizer.encode('red wool').at(-1)).toBe(after.at(-1));
  });

  it('weighs frequent tokens less, unseen ones fully, and special ones not at all', () => {
    const rows = [
      [0, 2, 3, 1],
      [0, 2, 2, 1],
    ];
    const weights = frequencyWeights(rows, { vocabulary: 5, sif: 0.25, special: [0, 1] });
    expect([...weights]).toEqual([0, 0, 0.25, 0.5, 1]);
  });
});

describe('the naive student', () => {
  it('learns what was clicked from the pruned teacher alone, and is read back from its folder', async () => {
    const student = prune(teacher, { keep: [0, 2], maxTokens: 8 });
    const naive = { ...shared(), student, parts: clicked, settings: { ...refinement, steps: 40, learningRate: 1e-2 } };
    const before = right(await encoderOf(student, shared())(TEXTS));
    const trained = await trainNaiveStudent(naive);
    expect(right(await trained.encode(TEXTS))).toBeGreaterThan(before + 0.3);
    expect(trained.losses.align).toBeUndefined();
    const again = await trainNaiveStudent({ ...naive, onStep: () => expect.unreachable() });
    expect(bytes(again)).toEqual(bytes(trained));
  });
});
