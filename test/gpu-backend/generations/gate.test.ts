import { describe, expect, it } from 'vitest';
import { checkGeneration, measureRecall } from '../../../gpu-backend/generations/gate.ts';
import type { LoadedGeneration } from '../../../gpu-backend/generations/load.ts';
import type { AnnIndex } from '../../../gpu-backend/index/ann-index.ts';
import { exactIndex } from '../../../gpu-backend/index/exact.ts';
import { float32Rows } from '../../../gpu-backend/index/vector-rows.ts';
import { KeywordIndex } from '../../../gpu-backend/retrieval/keyword.ts';
import { LexicalIndex } from '../../../gpu-backend/retrieval/lexical.ts';
import { NegativeIndex } from '../../../gpu-backend/retrieval/negatives.ts';
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
  rows,
  members: new Map([['us', members]]),
  indices: new Map([['us', index]]),
  lexical: new LexicalIndex(),
  keywords: new KeywordIndex(),
  negatives: new NegativeIndex(),
});

describe('the gate', () => {
  it('measures the share of the true ten that the index finds', async () => {
    expect(await measureRecall(generation(exactIndex(rows)), queries)).toBe(1);
    expect(await measureRecall(generation(forgetful(3)), queries)).toBeCloseTo(0.7, 10);
    expect(await measureRecall(generation(exactIndex(rows)), [])).toBeNull();
  });

  it('refuses an index that finds too little, with the numbers', async () => {
    const options = { spaceId: 'space', queries, liveAds: 0 };
    await expect(checkGeneration(generation(forgetful(1)), options)).rejects.toMatchObject({
      code: 'gate_failed',
      message: 'Generation 5 has recall@10 0.9000 against exact search on 40 queries: expected at least 0.95.',
    });
    await expect(checkGeneration(generation(exactIndex(rows)), options)).resolves.toBe(1);
  });

  it('refuses another space, and a size below half of the live one unless forced', async () => {
    const whole = generation(exactIndex(rows));
    const options = { spaceId: 'space', queries, liveAds: 401 };
    await expect(checkGeneration(whole, { ...options, spaceId: 'other' })).rejects.toMatchObject({
      code: 'space_mismatch',
    });
    await expect(checkGeneration(whole, options)).rejects.toMatchObject({ code: 'gate_failed' });
    await expect(checkGeneration(whole, { ...options, liveAds: 400 })).resolves.toBe(1);
    await expect(checkGeneration(whole, { ...options, force: true })).resolves.toBe(1);
  });
});
