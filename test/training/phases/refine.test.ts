/** Refinement of a tiny student: it learns what was clicked, leaves the ads alone, and a killed run ends where the whole one does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ClickedQuery, drawAd } from '../../../training/data/pairs.ts';
import { seeded } from '../../../training/data/seeded.ts';
import { NO_NEGATIVE } from '../../../training/nn/losses.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { mineNegatives } from '../../../training/phases/negatives.ts';
import { prune } from '../../../training/phases/prune.ts';
import { type RefineOptions, type Refreshed, refine, refinementStep } from '../../../training/phases/refine.ts';
import { intervals, rowsOf } from '../../../training/phases/refine-rounds.ts';
import type { RefineSettings } from '../../../training/phases/refine-settings.ts';
import { floatModel, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { openRunner } from '../../../training/runner/runner.ts';
import { type Checkpoint, readCheckpoint, type Weights } from '../../../training/teacher/checkpoint.ts';
import { normalizeRows } from '../../../training/teacher/teacher.ts';
import { cosine, TINY } from '../golden.ts';

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

/** What nobody asked for. */
const GENERAL = ['wool', 'men', 'red belt', 'a running shoe for men', 'cheap blue leather', 'blue'];

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

const settings: RefineSettings = {
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
  negatives: { depth: 3, cap: 1, perQuery: 1, refreshEvery: 0 },
  clusters: 0,
  coClicks: { weight: 0, perAd: 8 },
};
const partOf = (queries: ClickedQuery[]): RefineOptions['parts'][number] => ({
  rows: queries.length,
  read: async () => queries,
});
const options = (more: Partial<RefineOptions> = {}): RefineOptions => ({
  student: prune(teacher, { keep: [0, 2], maxTokens: 8 }),
  tokenizer: teacher.tokenizer,
  parts: [partOf(QUERIES)],
  ads,
  targets: (queries) =>
    encode(
      floatModel(teacher),
      queries.map(({ text }) => text),
    ),
  general: [
    {
      rows: GENERAL.length,
      read: async () => ({ texts: GENERAL, vectors: await encode(floatModel(teacher), GENERAL) }),
    },
  ],
  booked: () => true,
  settings,
  seed: 1,
  folder,
  threads: 1,
  ...more,
});
const bytes = (weights: Weights) => [...weights].map(([name, { data }]) => [name, Array.from(data as Float32Array)]);

/** Share of the queries whose nearest ad is the clicked one. */
function share(vectors: Float32Array, rows: Float32Array, queries: readonly ClickedQuery[]): number {
  const at = (values: Float32Array, i: number) => values.subarray(i * DIMENSION, (i + 1) * DIMENSION);
  const found = queries.filter(({ ads: clicked }, q) => {
    const scores = Array.from({ length: rows.length / DIMENSION }, (_, ad) => cosine(at(vectors, q), at(rows, ad)));
    return scores.indexOf(Math.max(...scores)) === clicked[0]!.row;
  });
  return found.length / queries.length;
}
const right = (vectors: Float32Array) => share(vectors, ads, QUERIES);

const stop = new Error('stopped');
const stoppingAt = (last: number) => (step: number) => {
  if (step === last) throw stop;
};

/** Everything that a refinement may be asked for, at once. */
const everything: RefineSettings = {
  ...settings,
  steps: 12,
  checkpointEvery: 3,
  negatives: { ...settings.negatives, perQuery: 2, refreshEvery: 4 },
  clusters: 2,
  noise: { typos: 0.3, dropped: 0.3 },
  distillation: 0.5,
  replay: { texts: 4, weight: 1 },
  trainWords: true,
  coClicks: { weight: 0.2, perAd: 4 },
};

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

  it('leaves the ads alone when everything is asked for, and says what mining passed over each time', async () => {
    const before = new Uint8Array(ads.buffer.slice(0));
    const told: Refreshed[] = [];
    const { losses } = await refine(options({ settings: everything, onRefresh: (refreshed) => told.push(refreshed) }));
    expect(new Uint8Array(ads.buffer)).toEqual(before);
    expect(losses.at(-1)!.step).toBe(12);
    expect(told.map(({ step, queries }) => [step, queries])).toEqual([
      [0, 32],
      [4, 32],
      [8, 32],
    ]);
    for (const { queries, skipped } of told) expect(skipped.clicked + skipped.aboveCap).toBeGreaterThan(queries / 2);
  });

  it('ends in the same bytes when it was stopped between two refreshes, just before one and just after', async () => {
    const whole = await refine(options({ settings: everything, folder: join(folder, 'whole') }));
    for (const last of [7, 8, 9]) {
      const again = options({ settings: everything, folder: join(folder, `${last}`) });
      await expect(refine({ ...again, onStep: stoppingAt(last) })).rejects.toBe(stop);
      const refreshed: number[] = [];
      const resumed = await refine({ ...again, onRefresh: ({ step }) => refreshed.push(step) });
      expect(bytes(resumed.student.weights)).toEqual(bytes(whole.student.weights));
      expect(resumed.losses).toEqual(whole.losses);
      // What was mined before the stop is read from disk.
      expect(refreshed).toEqual(last === 9 ? [] : [8]);
      expect(await refine({ ...again, onStep: () => expect.unreachable() })).toEqual(resumed);
    }
  });

  it('goes on mining where it was stopped in the middle of a refresh', async () => {
    const parts = [QUERIES.slice(0, 8), QUERIES.slice(8)].map(partOf);
    const whole = await refine(options({ parts, settings: everything, folder: join(folder, 'whole') }));
    let reads = 0;
    const failing = parts.map(({ rows, read }) => ({
      rows,
      async read() {
        // Two rounds mined and trained on, then two of the next three.
        if (++reads === 8) throw stop;
        return read();
      },
    }));
    const again = options({ settings: everything, folder: join(folder, 'again') });
    await expect(refine({ ...again, parts: failing })).rejects.toBe(stop);
    const refreshed: Refreshed[] = [];
    const resumed = await refine({ ...again, parts, onRefresh: (told) => refreshed.push(told) });
    expect(bytes(resumed.student.weights)).toEqual(bytes(whole.student.weights));
    expect(refreshed.map(({ queries }) => queries)).toEqual([32, 32]);
  });

  it('mines with the student as it is at a refresh', async () => {
    const refreshed = async (refreshEvery: number) => {
      const name = join(folder, `${refreshEvery}`);
      const more = { ...settings, steps: 6, negatives: { ...settings.negatives, refreshEvery } };
      return bytes((await refine(options({ settings: more, folder: name }))).student.weights);
    };
    const [never, often] = [await refreshed(0), await refreshed(3)];
    expect(often).not.toEqual(never);
    expect(await refreshed(6)).toEqual(never);
  });

  it('goes through parts one at a time', async () => {
    const reads: number[] = [];
    const parts = [QUERIES.slice(0, 8), QUERIES.slice(8)].map((queries, i) => ({
      rows: queries.length,
      async read() {
        reads.push(i);
        return queries;
      },
    }));
    const { losses } = await refine(options({ parts, settings: { ...settings, steps: 6 } }));
    expect(losses.at(-1)!.step).toBe(6);
    // Two rounds an epoch, two epochs; a round reads its part to mine, and to train.
    expect(reads).toHaveLength(8);
    expect(new Set(reads)).toEqual(new Set([0, 1]));
    await expect(refine(options({ parts: [partOf(QUERIES.slice(0, 7))] }))).rejects.toThrow('8 clicked queries');
  });

  it('stays nearer to the teacher the more distillation weighs', async () => {
    const texts = QUERIES.map(({ text }) => text);
    const given = await encode(floatModel(teacher), texts);
    const nearness = async (distillation: number) => {
      const more = { ...settings, steps: 30, distillation };
      const { student } = await refine(options({ settings: more, folder: join(folder, `${distillation}`) }));
      const own = await encode(floatModel(student), texts);
      return cosine(own, given);
    };
    const [none, some, much] = [await nearness(0), await nearness(3), await nearness(100)];
    expect(some).toBeGreaterThan(none + 0.02);
    expect(much).toBeGreaterThan(some + 0.02);
  });

  it('keeps what it knew of general text where that is replayed', async () => {
    const given = await encode(floatModel(teacher), GENERAL);
    const kept = async (weight: number) => {
      const more = { ...settings, steps: 40, replay: weight > 0 ? { texts: 6, weight } : undefined };
      const { student } = await refine(options({ settings: more, folder: join(folder, `${weight}`) }));
      return cosine(await encode(floatModel(student), GENERAL), given);
    };
    expect(await kept(10)).toBeGreaterThan((await kept(0)) + 0.1);
  });

  it('finds its way past ads that nobody clicks: only mined negatives hold those', async () => {
    const texts = QUERIES.map(({ text }) => text);
    const { student: before } = options();
    const own = await encode(floatModel(before), texts);
    // Halfway from where the queries are to the ad that each should reach, there is another one.
    const decoys = ads.slice();
    QUERIES.forEach(({ ads: clicked }, q) => {
      for (let j = 0; j < DIMENSION; j++)
        decoys[clicked[0]!.row * DIMENSION + j]! += own[q * DIMENSION + j]! / KINDS.length;
    });
    const all = Float32Array.from([...ads, ...normalizeRows(decoys, DIMENSION)]);
    const refined = async (perQuery: number) => {
      const negatives = { ...settings.negatives, cap: 10, perQuery, refreshEvery: 6 };
      const more = { ...settings, steps: 12, checkpointEvery: 12, negatives };
      const { student } = await refine(options({ ads: all, settings: more, folder: join(folder, `${perQuery}`) }));
      return share(await encode(floatModel(student), texts), all, QUERIES);
    };
    expect(await refined(0)).toBeLessThan(0.2);
    expect(await refined(2)).toBeGreaterThan(0.4);
  });
});

describe('refinementStep', () => {
  const random = seeded('step');
  const float = (...shape: number[]) => ({
    dtype: 'float32' as const,
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() - 0.5),
  });
  const tokens = () => {
    const {
      inputIds,
      attentionMask,
      batch,
      tokens: width,
    } = teacher.tokenizer.pad(QUERIES.slice(0, 8).map(({ text }) => teacher.tokenizer.encode(text)));
    return new Map<string, TensorData>([
      ['input_ids', { dtype: 'int64', shape: [batch, width], data: inputIds }],
      ['attention_mask', { dtype: 'int64', shape: [batch, width], data: attentionMask }],
    ]);
  };
  const lossOf = async (perQuery: number, documents: TensorData, bias: TensorData) => {
    const { student } = options();
    const more = { ...settings, negatives: { ...settings.negatives, perQuery } };
    const runner = await openRunner(refinementStep({ student, settings: more }), { threads: 1 });
    const { loss } = await runner.run(new Map([...tokens(), ['documents', documents], ['bias', bias]]));
    await runner.close();
    return loss;
  };

  it('with several negatives equals one negative when the others are left out', async () => {
    const documents = float(24, DIMENSION);
    const two = { ...documents, shape: [16, DIMENSION], data: documents.data.slice(0, 16 * DIMENSION) };
    const zeros = { dtype: 'float32' as const, shape: [8, 16], data: new Float32Array(8 * 16) };
    const masked = Float32Array.from({ length: 8 * 24 }, (_, i) => (i % 24 < 16 ? 0 : NO_NEGATIVE));
    const single = await lossOf(1, two, zeros);
    expect(await lossOf(2, documents, { ...zeros, shape: [8, 24], data: masked })).toBeCloseTo(single, 5);
    expect(await lossOf(2, documents, { ...zeros, shape: [8, 24], data: new Float32Array(8 * 24) })).toBeGreaterThan(
      single + 0.1,
    );
  });

  it('encodes no neighbour, and asks for no target, unless they weigh something', () => {
    const { student } = options();
    const inputs = (weight: number, distillation = 0) => {
      const more = { ...settings, distillation, coClicks: { weight, perAd: 4 } };
      return refinementStep({ student, settings: more }).graph.nodes.flatMap((node) =>
        node.op === 'input' ? [`${node.attributes.name} ${node.shape[0]}`] : [],
      );
    };
    expect(inputs(0)).toEqual(['input_ids 8', 'attention_mask 8', 'documents 16', 'bias 8']);
    expect(inputs(0.1)).toEqual(['input_ids 16', 'attention_mask 16', 'documents 16', 'bias 8', 'neighbour_bias 8']);
    expect(inputs(0, 0.1)).toEqual(['input_ids 8', 'attention_mask 8', 'documents 16', 'bias 8', 'target 8']);
    const replay = { texts: 3, weight: 1 };
    const nodes = refinementStep({ student, settings: { ...settings, replay } }).graph.nodes;
    const shapes = new Map(
      nodes.flatMap((node) => (node.op === 'input' ? [[node.attributes.name, node.shape[0]]] : [])),
    );
    expect([shapes.get('input_ids'), shapes.get('documents'), shapes.get('replay_target')]).toEqual([11, 16, 3]);
  });

  it('draws queries together that share ads', async () => {
    const spread = async (weight: number) => {
      const more = { ...settings, steps: 15, coClicks: { weight, perAd: 8 } };
      const { student } = await refine(options({ settings: more, folder: join(folder, `${weight}`) }));
      const vectors = await encode(
        floatModel(student),
        QUERIES.map(({ text }) => text),
      );
      // Queries i and i + 6 name the same thing and share their ad.
      return Array.from({ length: 18 }, (_, i) =>
        cosine(
          vectors.subarray(i * DIMENSION, (i + 1) * DIMENSION),
          vectors.subarray((i + 6) * DIMENSION, (i + 7) * DIMENSION),
        ),
      ).reduce((a, b) => a + b);
    };
    expect(await spread(2)).toBeGreaterThan(await spread(0));
  });
});

describe('intervals', () => {
  it('cover every step once, begin at refreshes, and train on each row once an epoch', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 7 }),
        (parts, rowsPerStep, refreshEvery) => {
          fc.pre(parts.some((rows) => rows >= rowsPerStep));
          const dealing = { parts, rowsPerStep, seed: 1, steps: 40 };
          const all = intervals({ ...dealing, refreshEvery });
          expect(all.map((interval) => interval[0]!.start)).toEqual(
            refreshEvery === 0 ? [0] : Array.from({ length: Math.ceil(40 / refreshEvery) }, (_, i) => i * refreshEvery),
          );
          const seen = new Set<string>();
          let before = 0;
          for (const round of all.flat()) {
            const { start, end, epoch, part } = round;
            expect(start).toBe(before);
            before = end;
            const rows = rowsOf(round, dealing);
            expect(rows).toHaveLength((end - start) * rowsPerStep);
            for (const row of rows) {
              expect(row).toBeLessThan(parts[part]!);
              expect(seen.has(`${epoch} ${part} ${row}`)).toBe(false);
              seen.add(`${epoch} ${part} ${row}`);
            }
          }
          expect(before).toBe(40);
        },
      ),
    );
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
