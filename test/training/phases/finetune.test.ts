/** Phase 1: which pairs it trains on, that it learns them, and that a killed run ends in the same bytes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClickedQuery } from '../../../training/data/pairs.ts';
import { type FinetuneOptions, finetune, finetunePairs } from '../../../training/phases/finetune.ts';
import { readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { TINY } from '../golden.ts';

const checkpoint = await readCheckpoint(TINY);
const THINGS = ['sock', 'shoe', 'belt', 'leather'];
const KINDS = ['red', 'blue', 'cheap', 'running'];
const adTexts = THINGS.flatMap((thing) => KINDS.map((kind) => `${kind} ${thing} for men`));
const queries: ClickedQuery[] = adTexts.map((_, row) => ({
  text: `${THINGS[Math.floor(row / 4)]} ${KINDS[row % 4]}`,
  market: 'us',
  ads: [{ row, weight: 0.5 }],
  context: `offline ${row}`,
}));
const parts = [queries.slice(0, 9), queries.slice(9)].map((of) => ({ read: async () => [...of] }));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-finetune-'));
});
afterAll(() => rm(folder, { recursive: true }));

const settings: FinetuneOptions['settings'] = {
  optimizer: 'adamw',
  steps: 12,
  batch: 8,
  checkpointEvery: 4,
  learningRate: 3e-3,
  warmupSteps: 2,
  schedule: 'linear',
  finalRate: 0.1,
  decayShare: 0.1,
  weightDecay: 0.01,
  clipNorm: 1,
  ema: 0,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-6,
  chunkTokens: 64,
  trainWords: false,
  contextShare: 0,
  temperature: 0.1,
  falseNegativeMargin: 1,
  learnTemperature: true,
  sameTower: false,
  negatives: { perQuery: 1, depth: 3, cap: 0.95 },
};

describe('finetunePairs', () => {
  it('takes every query once an epoch, and draws its clicked ad', async () => {
    const pairs = await finetunePairs({ parts, settings: { ...settings, steps: 4 }, seed: 1 });
    expect(pairs).toHaveLength(32);
    for (const half of [pairs.slice(0, 16), pairs.slice(16)]) {
      expect(new Set(half.map(({ ad }) => ad)).size).toBe(16);
      for (const { query, ad } of half) expect(query.ads[0]!.row).toBe(ad);
    }
    expect(pairs.slice(0, 16)).not.toEqual(pairs.slice(16));
  });

  it('shows the share of queries asked for with their context', async () => {
    const shown = async (contextShare: number) => {
      const pairs = await finetunePairs({ parts, settings: { ...settings, steps: 100, contextShare }, seed: 1 });
      return pairs.filter(({ input }) => input.includes('offline')).length / pairs.length;
    };
    expect(await shown(0)).toBe(0);
    expect(await shown(1)).toBe(1);
    expect(await shown(0.7)).toBeCloseTo(0.7, 1);
  });

  it('says so where nothing was clicked', async () => {
    await expect(finetunePairs({ parts: [{ read: async () => [] }], settings, seed: 1 })).rejects.toThrow(/clicks/);
  });
});

describe('finetune', () => {
  const run = async (name: string, steps = settings.steps, stopAt?: number) => {
    const pairs = await finetunePairs({ parts, settings: { ...settings, steps }, seed: 1 });
    const options: FinetuneOptions = {
      teacher: checkpoint,
      tokenizer: checkpoint.tokenizer,
      pairs,
      negatives: pairs.map(({ ad }, i) => (i % 3 === 0 ? [] : [(ad + 1) % 16, (ad + 5) % 16])),
      adTexts,
      settings,
      seed: 1,
      folder: join(folder, name),
      threads: 1,
      onStep(step) {
        if (step === stopAt) throw new Error('killed');
      },
    };
    return finetune(options);
  };

  it('learns, and goes on after a kill to the same bytes', async () => {
    const whole = await run('whole');
    expect(whole.losses.at(-1)!.loss).toBeLessThan(whole.losses[0]!.loss * 0.8);
    await expect(run('killed', settings.steps, 7)).rejects.toThrow('killed');
    const resumed = await run('killed');
    expect(resumed.losses).toEqual(whole.losses);
    for (const [name, { data }] of whole.student.weights)
      expect(resumed.student.weights.get(name)!.data, name).toEqual(data);
    // The word table stays as it was; the layers do not.
    const table = 'embeddings.word_embeddings.weight';
    expect(whole.student.weights.get(table)!.data).toEqual(checkpoint.weights.get(table)!.data);
    const dense = 'encoder.layer.0.output.dense.weight';
    expect(whole.student.weights.get(dense)!.data).not.toEqual(checkpoint.weights.get(dense)!.data);
  });
});
