import { describe, expect, it } from 'vitest';
import { Bookings } from '../../../gpu-backend/generations/bookings.ts';
import { checkGeneration } from '../../../gpu-backend/generations/gate.ts';
import type { LoadedGeneration } from '../../../gpu-backend/generations/load.ts';
import { NumbersById } from '../../../gpu-backend/generations/numbers-by-id.ts';
import type { AnnIndex, LocalIndex } from '../../../gpu-backend/index/ann-index.ts';
import { exactIndex, scan } from '../../../gpu-backend/index/exact.ts';
import { hnswIndex } from '../../../gpu-backend/index/hnsw.ts';
import { buildGraph, type HnswOptions } from '../../../gpu-backend/index/usearch.ts';
import { float32Rows, type VectorRows } from '../../../gpu-backend/index/vector-rows.ts';
import { KeywordIndex } from '../../../gpu-backend/retrieval/keyword.ts';
import { LexicalIndex } from '../../../gpu-backend/retrieval/lexical.ts';
import { NegativeIndex } from '../../../gpu-backend/retrieval/negatives.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

const { rows: matrix, queries } = clusteredVectors({ count: 200, dimension: 16, clusters: 20, queries: 40, seed: 1 });
const rows = float32Rows(matrix, 16);
const members = Uint32Array.from({ length: 200 }, (_, row) => row);

/** Loses `lost` of the ten best. */
const forgetful = (lost: number): AnnIndex => ({
  size: 200,
  dimension: 16,
  search: (query, k) =>
    exactIndex(rows)
      .search(query, k + lost)
      .slice(lost),
});

const generation = (index: AnnIndex): LoadedGeneration => ({
  manifest: {
    format: 3,
    number: 5,
    createdAt: '',
    spaceId: 'space',
    dimension: 16,
    model: 'm',
    ads: 200,
    markets: { us: 200 },
    vectors: { uploaded: 0, bundle: 200, student: 0 },
    lexicalVersion: 1,
    copyOf: null,
    files: [],
  },
  ads: [],
  rowOf: new NumbersById(),
  rows,
  members: new Map([['us', members]]),
  indices: new Map([['us', index]]),
  lexical: new LexicalIndex(),
  keywords: new KeywordIndex(),
  negatives: new NegativeIndex(),
  bookings: new Bookings(),
});

describe('the gate', () => {
  const options = { spaceId: 'space', queries, liveAds: 0 };

  it('says what share of the true ten the index finds', async () => {
    const whole = generation(exactIndex(rows));
    expect(await checkGeneration(whole, options)).toEqual({ recall: 1, expansionSearch: {}, scanned: ['us'] });
    const unknown = { recall: null, expansionSearch: {}, scanned: [] };
    expect(await checkGeneration(whole, { ...options, queries: [] })).toEqual(unknown);
  });

  it('says it of the market where it is least', async () => {
    const markets = ['gb', 'us'];
    const two = {
      ...generation(exactIndex(rows)),
      members: new Map(markets.map((market) => [market, members])),
      indices: new Map(markets.map((market) => [market, market === 'gb' ? forgetful(2) : exactIndex(rows)])),
    };
    await expect(checkGeneration(two, options)).rejects.toMatchObject({
      message:
        'Generation 5, market gb, has recall@10 0.8000 against exact search on 40 queries: expected at least 0.95.',
    });
  });

  it('publishes the least of the markets, each over its own ads, be they few', async () => {
    const own = { gb: members.filter((row) => row % 3 === 0), nz: members.subarray(0, 4), us: members };
    let asked = 0;
    // Of each of ten queries in forty it loses one of ten.
    const nearly: AnnIndex = {
      ...{ size: own.gb.length, dimension: 16 },
      search: (query, k) => {
        const lost = asked++ < 10 ? 1 : 0;
        return exactIndex(rows, own.gb)
          .search(query, k + lost)
          .slice(lost);
      },
    };
    const three = {
      ...generation(exactIndex(rows)),
      members: new Map(Object.entries(own)),
      indices: new Map(
        Object.entries(own).map(([market, list]) => [market, market === 'gb' ? nearly : exactIndex(rows, list)]),
      ),
    };
    const { recall, scanned } = await checkGeneration(three, options);
    expect(recall).toBeCloseTo(0.975, 10);
    expect(scanned).toEqual(['gb', 'nz', 'us']);
  });

  it('never shortens the list of candidates that an index has', async () => {
    const tried: number[] = [];
    const long: AnnIndex = {
      ...forgetful(1),
      get expansionSearch() {
        return tried.at(-1) ?? 500;
      },
      set expansionSearch(length) {
        tried.push(length);
      },
    };
    await expect(checkGeneration(generation(long), options)).rejects.toMatchObject({ code: 'gate_failed' });
    expect(tried).toEqual([512, 768, 1024]);
  });

  it('refuses an index that finds too little, with the numbers', async () => {
    await expect(checkGeneration(generation(forgetful(1)), options)).rejects.toMatchObject({
      code: 'gate_failed',
      message:
        'Generation 5, market us, has recall@10 0.9000 against exact search on 40 queries: expected at least 0.95.',
    });
  });

  it('refuses another space, and a size below half of the live one unless forced', async () => {
    const whole = generation(exactIndex(rows));
    const smaller = { ...options, liveAds: 401 };
    await expect(checkGeneration(whole, { ...smaller, spaceId: 'other' })).rejects.toMatchObject({
      code: 'space_mismatch',
    });
    for (const unforced of [{}, { force: false }])
      await expect(checkGeneration(whole, { ...smaller, ...unforced })).rejects.toMatchObject({ code: 'gate_failed' });
    await expect(checkGeneration(whole, { ...smaller, liveAds: 400 })).resolves.toMatchObject({ recall: 1 });
    await expect(checkGeneration(whole, { ...smaller, force: true })).resolves.toMatchObject({ recall: 1 });
  });

  describe('over a graph that searches too little', () => {
    const at = testFolder('gate');
    const wide = clusteredVectors({ count: 3000, dimension: 24, clusters: 20, queries: 40, seed: 1 });
    const over = float32Rows(wide.rows, 24);
    const all = Uint32Array.from({ length: 3000 }, (_, row) => row);
    const graph = (links: Pick<HnswOptions, 'connectivity' | 'expansionAdd'>) => {
      const steps = buildGraph(over, all, { ...links, scratch: at('scratch.usearch') });
      for (let step = steps.next(); ; step = steps.next())
        if (step.done) return hnswIndex(step.value, { rows: over, members: all });
    };
    const recallOf = (index: LocalIndex, of: VectorRows) =>
      wide.queries.reduce((sum, query) => {
        const truth = new Set(scan(of, query, { k: 10 }).map(({ row }) => row));
        return sum + index.search(query, 10).filter(({ row }) => truth.has(row)).length / 10;
      }, 0) / wide.queries.length;
    const check = (index: AnnIndex) =>
      checkGeneration(
        { ...generation(index), rows: over, members: new Map([['us', all]]) },
        { ...options, queries: wide.queries },
      );

    it('lengthens the list of candidates until recall is what is wanted, and no further', async () => {
      const index = graph({ connectivity: 3, expansionAdd: 16 });
      expect(recallOf(index, over)).toBeLessThan(0.9);
      const { recall, expansionSearch, scanned } = await check(index);
      expect(scanned).toEqual([]);
      expect(recall).toBeGreaterThanOrEqual(0.96);
      expect(recallOf(index, over)).toBeCloseTo(recall!, 10);
      expect(expansionSearch).toEqual({ us: index.expansionSearch });
      index.expansionSearch = 96;
      expect(recallOf(index, over)).toBeLessThan(0.96);
    });

    it('leaves one that finds enough as it is', async () => {
      expect(await check(graph({ connectivity: 16, expansionAdd: 128 }))).toMatchObject({
        expansionSearch: { us: 64 },
      });
    });

    it('refuses one that finds too little with the longest list', async () => {
      await expect(check(graph({ connectivity: 2, expansionAdd: 4 }))).rejects.toMatchObject({ code: 'gate_failed' });
    });
  });
});
