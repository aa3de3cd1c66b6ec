/** The adapter on vectors where what is relevant differs by a planted low-rank map: it learns the map, and only from a seed and a state. */
import { describe, expect, it } from 'vitest';
import { type AdaptOptions, type AdaptSettings, adapt } from '../../../training/phases/adapt.ts';
import { applyMap } from '../../../training/teacher/linear-map.ts';
import { fitProjection } from '../../../training/teacher/projection.ts';
import { normalizeRows } from '../../../training/teacher/teacher.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { gaussians } from '../../fixtures/random.ts';

const folder = testFolder('adapt');
const FROM = 24;
const PLANTED = 4;
const TRAIN = 192;
const HELD_OUT = 64;

/**
 * Documents at random; the query of each is the document with a few directions turned against themselves, and noise. To a teacher that
 * knows nothing of this the right document is one of many.
 */
function planted() {
  const normal = gaussians(7);
  const draw = () => Float64Array.from({ length: FROM }, normal);
  const axes = Array.from({ length: PLANTED }, () => {
    const axis = draw();
    const length = Math.hypot(...axis);
    return axis.map((value) => value / length);
  });
  const documents: number[] = [];
  const queries: number[] = [];
  for (let i = 0; i < TRAIN + HELD_OUT; i++) {
    const document = draw();
    for (const axis of axes) {
      // Most of what tells documents apart lies in these directions.
      const along = 5 * normal();
      for (let j = 0; j < FROM; j++) document[j] = document[j]! + along * axis[j]!;
    }
    const query = document.slice();
    for (const axis of axes) {
      const along = document.reduce((sum, value, j) => sum + value * axis[j]!, 0);
      for (let j = 0; j < FROM; j++) query[j] = query[j]! - 2 * along * axis[j]!;
    }
    documents.push(...document);
    queries.push(...query.map((value) => value + 0.7 * normal()));
  }
  const rows = (values: number[]) => normalizeRows(Float32Array.from(values), FROM);
  return { queries: rows(queries), documents: rows(documents) };
}

const { queries, documents } = planted();
const settings = {
  rank: 2 * PLANTED,
  steps: 150,
  batch: 32,
  hardNegatives: 1,
  temperature: 0.05,
  falseNegativeMargin: 0.1,
  anchor: 0.05,
  learningRate: 0.02,
  warmupSteps: 5,
  finalRate: 0.1,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-8,
  clipNorm: 1,
  checkpointEvery: 50,
} satisfies AdaptSettings;
let runs = 0;
const options = (change: Partial<typeof settings> = {}, rest: Partial<AdaptOptions> = {}): AdaptOptions => ({
  clicked: Array.from({ length: TRAIN }, (_, row) => ({ text: '', market: 'us', ads: [{ row, weight: 1 }] })),
  queries,
  documents,
  from: FROM,
  negatives: Array.from({ length: TRAIN }, (_, i) => [(i + 1) % TRAIN, (i + 2) % TRAIN]),
  settings: { ...settings, ...change },
  seed: 1,
  folder: folder(`${runs++}`),
  threads: 1,
  ...rest,
});

/** Share of held-out queries whose document is among the 3 nearest of all. */
function recall(left: Float32Array, right: Float32Array): number {
  const dimension = left.length / (TRAIN + HELD_OUT);
  const score = (query: number, document: number) => {
    let sum = 0;
    for (let j = 0; j < dimension; j++) sum += left[query * dimension + j]! * right[document * dimension + j]!;
    return sum;
  };
  let found = 0;
  for (let i = TRAIN; i < TRAIN + HELD_OUT; i++) {
    const own = score(i, i);
    let better = 0;
    for (let j = 0; j < TRAIN + HELD_OUT; j++) if (score(i, j) > own) better++;
    if (better < 3) found++;
  }
  return found / HELD_OUT;
}

describe('adapt', () => {
  it('finds on held-out queries what the teacher does not', async () => {
    const { map, losses } = await adapt(options());
    expect(map).toMatchObject({ name: 'adapter-8', from: FROM, to: FROM });
    expect(losses.map(({ step }) => step)).toEqual([50, 100, 150]);
    expect(losses.at(-1)!.loss).toBeLessThan(losses[0]!.loss);
    const before = recall(queries, documents);
    const after = recall(
      await applyMap(map, queries, { role: 'query', threads: 1 }),
      await applyMap(map, documents, { role: 'document', threads: 1 }),
    );
    expect(before).toBeLessThan(0.2);
    expect(after).toBeGreaterThan(0.8);
  });

  it('is trained on top of a projection, whose dimension it has', async () => {
    const both = Float32Array.from([...queries, ...documents]);
    const { map: projection } = await fitProjection(both, { from: FROM, to: 16, threads: 1 });
    const { map } = await adapt(options({}, { projection }));
    expect(map).toMatchObject({ name: 'pca-16+adapter-8', from: FROM, to: 16 });
    const found = async (using: typeof map) =>
      recall(
        await applyMap(using, queries, { role: 'query', threads: 1 }),
        await applyMap(using, documents, { role: 'document', threads: 1 }),
      );
    expect(await found(map)).toBeGreaterThan((await found(projection)) + 0.5);
  });

  it('leaves the teacher as it is before the first step, and near it under a strong anchor', async () => {
    const eye = Float32Array.from({ length: FROM * FROM }, (_, i) => (i % (FROM + 1) === 0 ? 1 : 0));
    const { map: untouched } = await adapt(options({ steps: 0 }));
    expect(untouched.query).toEqual(eye);
    expect(untouched.document).toEqual(eye);
    const distance = async (anchor: number) => {
      const { map } = await adapt(options({ anchor }));
      return Math.hypot(...map.query.map((value, i) => value - eye[i]!));
    };
    expect(await distance(100)).toBeLessThan(0.5 * (await distance(0)));
  });

  it('gives the same bytes for the same seed, others for another, and the same after a kill', async () => {
    const steps = { steps: 24, checkpointEvery: 5 };
    const { map: whole, losses } = await adapt(options(steps));
    const { map: other } = await adapt(options(steps, { seed: 2 }));
    expect(other.query).not.toEqual(whole.query);
    const place = folder('killed');
    const killed = adapt(
      options(steps, {
        folder: place,
        onStep(step) {
          // Between two checkpoints, in the third epoch of six batches.
          if (step === 14) throw new Error('killed');
        },
      }),
    );
    await expect(killed).rejects.toThrow('killed');
    const seen: number[] = [];
    const resumed = await adapt(options(steps, { folder: place, onStep: (step) => seen.push(step) }));
    expect(seen[0]).toBe(11);
    expect(resumed.map).toEqual(whole);
    expect(resumed.losses).toEqual(losses);
  });

  it('takes no clicked document for a negative of its query', async () => {
    // Each query has two clicked documents, and its only hard negative is the other of them: with the mask, nothing says that it is wrong.
    const clicked = Array.from({ length: TRAIN }, (_, row) => ({
      text: '',
      market: 'us',
      ads: [row, row ^ 1].map((ad) => ({ row: ad, weight: 1 })),
    }));
    const negatives = clicked.map((_, row) => [row, row ^ 1]);
    const twins = documents.map((_, i) => documents[Math.floor(i / FROM / 2) * 2 * FROM + (i % FROM)]!);
    const twinQueries = queries.map((_, i) => queries[Math.floor(i / FROM / 2) * 2 * FROM + (i % FROM)]!);
    const { losses } = await adapt(options({}, { clicked, negatives, documents: twins, queries: twinQueries }));
    // A twin counted as a negative scores as the positive does: no query's loss could go below log 2.
    expect(losses.at(-1)!.loss).toBeLessThan(Math.log(2) / 2);
  });

  it('says so when there are fewer clicked queries than a batch', async () => {
    await expect(adapt(options({ batch: 200 }))).rejects.toThrow('a batch of 200 clicked queries, received 192');
  });
});
