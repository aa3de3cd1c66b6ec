/** Refinement of a tiny student: it learns what was clicked, leaves the ads alone, and a killed run ends where the whole one does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ClickedQuery, drawAd } from '../../../training/data/pairs.ts';
import { seeded } from '../../../training/data/seeded.ts';
import { mineNegatives } from '../../../training/phases/negatives.ts';
import { prune } from '../../../training/phases/prune.ts';
import { type RefineOptions, refine } from '../../../training/phases/refine.ts';
import { floatModel, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint, type Weights } from '../../../training/teacher/checkpoint.ts';
import { TINY } from '../golden.ts';

const DIMENSION = 32;
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

let teacher: Checkpoint;
let ads: Float32Array;
beforeAll(async () => {
  teacher = await readCheckpoint(TINY);
  ads = await encode(floatModel(teacher), THINGS);
});
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-refine-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function encode(model: Uint8Array, texts: readonly string[]): Promise<Float32Array> {
  const session = await TextEncoderSession.open(model, {
    tokenizer: teacher.tokenizer,
    dimension: DIMENSION,
    threads: 1,
  });
  const vectors = await session.encode(texts);
  await session.close();
  return vectors;
}

const settings: RefineOptions['settings'] = {
  steps: 60,
  batch: 8,
  learningRate: 1e-2,
  warmupSteps: 5,
  finalRate: 0.1,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-6,
  clipNorm: 1,
  checkpointEvery: 5,
  temperature: 0.1,
  falseNegativeMargin: 2,
  negatives: { depth: 3, cap: 0.95 },
};
const options = (more: Partial<RefineOptions> = {}): RefineOptions => ({
  student: prune(teacher, { keep: [0, 2], maxTokens: 8 }),
  tokenizer: teacher.tokenizer,
  queries: QUERIES,
  negatives: QUERIES.map(({ ads: clicked }) => [(clicked[0]!.row + 2) % THINGS.length]),
  ads,
  settings,
  seed: 1,
  folder,
  threads: 1,
  ...more,
});
const bytes = (weights: Weights) => [...weights].map(([name, { data }]) => [name, Array.from(data as Float32Array)]);

/** Share of the queries whose nearest ad is the clicked one. */
function right(vectors: Float32Array): number {
  const score = (query: number, ad: number) =>
    Array.from({ length: DIMENSION }, (_, i) => vectors[query * DIMENSION + i]! * ads[ad * DIMENSION + i]!).reduce(
      (a, b) => a + b,
    );
  const nearest = QUERIES.map((_, q) =>
    THINGS.map((__, ad) => score(q, ad)).reduce((best, s, ad, all) => (s > all[best]! ? ad : best), 0),
  );
  return nearest.filter((ad, q) => ad === QUERIES[q]!.ads[0]!.row).length / QUERIES.length;
}

describe('refine', () => {
  it('moves queries to what was clicked, and not one byte of an ad', async () => {
    const texts = QUERIES.map(({ text }) => text);
    const before = new Uint8Array(ads.buffer.slice(0));
    const start = options();
    const { student, losses } = await refine(start);
    expect(new Uint8Array(ads.buffer)).toEqual(before);
    expect(losses.at(-1)!.loss).toBeLessThan(losses[0]!.loss / 2);
    expect(right(await encode(floatModel(start.student), texts))).toBeLessThan(0.4);
    expect(right(await encode(floatModel(student), texts))).toBeGreaterThan(0.9);
  });

  it('ends in the same bytes when it was stopped in between', async () => {
    const short = { ...settings, steps: 12 };
    const whole = await refine(options({ settings: short, folder: join(folder, 'whole') }));
    const stop = new Error('stopped');
    const stopped = refine(
      options({
        settings: short,
        folder: join(folder, 'again'),
        onStep: (step) => {
          if (step === 8) throw stop;
        },
      }),
    );
    await expect(stopped).rejects.toBe(stop);
    const again = await refine(options({ settings: short, folder: join(folder, 'again') }));
    expect(bytes(again.student.weights)).toEqual(bytes(whole.student.weights));
  });
});

describe('mineNegatives', () => {
  it('takes the nearest ads of the market below the cap, never a clicked one, and counts what it passed over', async () => {
    const unit = (...values: number[]) => values.map((value) => value / Math.hypot(...values));
    const rows = Float32Array.from([unit(1, 0), unit(10, 1), unit(2, 1), unit(1, 1), unit(0, 1), unit(3, 2)].flat());
    const { negatives, skipped } = await mineNegatives({
      queries: [{ text: 'q', market: 'us', ads: [{ row: 0, weight: 1 }] }],
      vectors: Float32Array.from(unit(1, 0)),
      ads: rows,
      dimension: 2,
      booked: (row) => row !== 5,
      depth: 2,
      cap: 0.95,
    });
    expect(negatives).toEqual([[2, 3]]);
    expect(skipped).toEqual({ clicked: 1, aboveCap: 1 });
  });
});

describe('drawAd', () => {
  it('draws in proportion to the weights', () => {
    const query: ClickedQuery = {
      text: 'q',
      market: 'us',
      ads: [
        { row: 7, weight: 0.3 },
        { row: 9, weight: 0.1 },
      ],
    };
    const random = seeded('draw');
    const sevens = Array.from({ length: 4_000 }, () => drawAd(query, random)).filter((row) => row === 7).length;
    expect(sevens / 4_000).toBeCloseTo(0.75, 1);
  });
});
