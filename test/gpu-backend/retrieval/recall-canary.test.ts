/** The canary on an index that is known to forget: the share is right, the cost bounded, and a swap in between counts for nothing. */
import { afterEach, expect, test, vi } from 'vitest';
import { Bookings } from '../../../gpu-backend/generations/bookings.ts';
import { Live } from '../../../gpu-backend/generations/live.ts';
import { type LoadedGeneration, rowsById } from '../../../gpu-backend/generations/load.ts';
import type { AnnIndex } from '../../../gpu-backend/index/ann-index.ts';
import { exactIndex } from '../../../gpu-backend/index/exact.ts';
import { float32Rows } from '../../../gpu-backend/index/vector-rows.ts';
import { KeywordIndex } from '../../../gpu-backend/retrieval/keyword.ts';
import { LexicalIndex } from '../../../gpu-backend/retrieval/lexical.ts';
import { NegativeIndex } from '../../../gpu-backend/retrieval/negatives.ts';
import { createRecallCanary } from '../../../gpu-backend/retrieval/recall-canary.ts';
import { uniforms } from '../../fixtures/random.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';
import { sampleAd } from '../../setup/samples.ts';

const COUNT = 5_000;
const { rows: matrix, queries } = clusteredVectors({ count: COUNT, dimension: 8, clusters: 50, queries: 40, seed: 3 });
const rows = float32Rows(matrix, 8);
const going = new AbortController().signal;
afterEach(() => void vi.restoreAllMocks());

/** In ca there are three, in au none. */
const ads = Array.from({ length: COUNT }, (_, i) =>
  sampleAd({
    id: `ad-${i}`,
    status: i % 10 === 0 ? 'paused' : 'active',
    markets: i > 0 && i < 4 ? ['us', 'gb', 'ca'] : ['us', 'gb'],
  }),
);
const bookings = new Bookings();
for (const [row, ad] of ads.entries()) bookings.put(row, ad);

async function generation(number: number, lost: number): Promise<LoadedGeneration> {
  const index: AnnIndex = {
    size: COUNT,
    dimension: 8,
    search: (query, k, accept) =>
      exactIndex(rows)
        .search(query, k + lost, accept)
        .slice(lost),
  };
  return {
    manifest: {
      format: 3,
      number,
      createdAt: '2026-01-15T12:00:00.000Z',
      spaceId: 'space',
      dimension: 8,
      model: 'm',
      ads: COUNT,
      markets: { us: COUNT },
      vectors: { uploaded: 0, bundle: COUNT, student: 0 },
      lexicalVersion: 1,
      copyOf: null,
      files: [],
    },
    ads: ads.map((ad) => ({ ad, revision: 1, source: 'bundle' })),
    rowOf: await rowsById(ads.map((ad) => ({ ad }))),
    rows,
    members: new Map([['us', Uint32Array.from({ length: COUNT }, (_, row) => row)]]),
    indices: new Map(['us', 'ca', 'au'].map((market) => [market, index])),
    lexical: new LexicalIndex(),
    keywords: new KeywordIndex(),
    negatives: new NegativeIndex(),
    bookings,
  };
}

async function withIndex(lost: number, maxRows?: number) {
  const live = new Live({ spaceId: 'space' });
  await live.swap(await generation(1, lost));
  const encoded: string[] = [];
  const encoder = {
    async encode(texts: readonly string[]) {
      encoded.push(...texts);
      return { vectors: texts.map((text) => queries[Number(text)]!), tokens: texts.map(() => 1) };
    },
  };
  const canary = createRecallCanary({ live, encoder, ...(maxRows === undefined ? {} : { maxRows }) });
  const observe = (count: number, retrievers: ('dense' | 'lexical')[] = ['dense'], market = 'us') => {
    for (let i = 0; i < count; i++)
      canary.observe({ query: String(i % queries.length), market, plan: { retrievers, k: 10, minRelevance: 0 } });
  };
  return { live, encoded, canary, observe };
}

test('is the share of the exact ten that the index found; paused ads are not looked for', async () => {
  for (const lost of [0, 3]) {
    const { canary, observe } = await withIndex(lost);
    expect(canary.stats()).toEqual({ recall: Number.NaN, queries: 0 });
    observe(8);
    await canary.run(going);
    expect(canary.stats().recall).toBeCloseTo(1 - lost / 10, 10);
    expect(canary.stats().queries).toBe(8);
  }
});

test('asks as many as the bound on rows allows, each query once, and only those that wanted vectors', async () => {
  const { canary, observe, encoded } = await withIndex(0, 3 * COUNT);
  observe(100, ['lexical']);
  await canary.run(going);
  expect(encoded).toEqual([]);
  observe(1_000);
  await canary.run(going);
  expect(encoded.length).toBe(3);
  await canary.run(going); // nothing was asked since
  expect(canary.stats().queries).toBe(3);
});

test('asks one though the bound allows none, and counts them over all runs', async () => {
  const { canary, observe } = await withIndex(0, 1);
  for (const asked of [1, 2]) {
    observe(3);
    await canary.run(going);
    expect(canary.stats()).toEqual({ recall: 1, queries: asked });
  }
});

test('draws its queries evenly from all that were asked since the last run', async () => {
  vi.spyOn(Math, 'random').mockImplementation(uniforms(2));
  const { canary, observe, encoded } = await withIndex(0);
  for (let run = 0; run < 100; run++) {
    observe(40, ['dense'], 'au');
    await canary.run(going);
  }
  const times = queries.map((_, i) => encoded.filter((query) => query === String(i)).length);
  expect(encoded).toHaveLength(1_600); // 40 of each, give or take five
  expect(Math.min(...times)).toBeGreaterThan(20);
  expect(Math.max(...times)).toBeLessThan(60);
});

test('is a share of what there is to find, and says nothing where there is nothing', async () => {
  const { canary, observe } = await withIndex(0);
  observe(4, ['dense'], 'au');
  await canary.run(going);
  expect(canary.stats()).toEqual({ recall: Number.NaN, queries: 0 });
  observe(4, ['dense'], 'ca');
  await canary.run(going);
  expect(canary.stats()).toEqual({ recall: 1, queries: 4 });
});

test('looks at every row, wherever a turn ends', async () => {
  const { canary } = await withIndex(1); // loses the best
  for (const row of [4_095, 4_096]) {
    queries.push(matrix.slice(8 * row, 8 * (row + 1)));
    canary.observe({
      ...{ query: String(queries.length - 1), market: 'us' },
      plan: { retrievers: ['dense'], k: 10, minRelevance: 0 },
    });
    await canary.run(going);
    expect(canary.stats().recall).toBeCloseTo(0.9, 10);
  }
  queries.length -= 2;
});

test('begins none once it is to end', async () => {
  const { canary, observe, encoded } = await withIndex(0);
  observe(5);
  const ending = new AbortController();
  const running = canary.run(ending.signal);
  ending.abort();
  await running;
  expect(encoded).toEqual(['0']);
});

test('a swap under way counts for nothing', async () => {
  const { live, canary, observe } = await withIndex(0);
  observe(1);
  const running = canary.run(going);
  await new Promise((resolve) => setImmediate(resolve));
  await live.swap(await generation(2, 0));
  await running;
  expect(canary.stats()).toEqual({ recall: Number.NaN, queries: 0 });
});
