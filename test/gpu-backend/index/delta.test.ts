import { describe, expect, it } from 'vitest';
import { DeltaIndex } from '../../../gpu-backend/index/delta.ts';
import { simdRows } from '../../../gpu-backend/index/simd-rows.ts';
import { sixteenBits } from '../../../gpu-backend/index/vector-rows.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

const DIMENSION = 32;
const { rows: matrix, queries } = clusteredVectors({
  count: 1200,
  dimension: DIMENSION,
  clusters: 40,
  queries: 40,
  seed: 5,
});
const vectorOf = (slot: number) => matrix.subarray(slot * DIMENSION, (slot + 1) * DIMENSION);
const stored = simdRows(new Int16Array(0), DIMENSION);
for (let slot = 0; slot < 1200; slot++) stored.append(sixteenBits(vectorOf(slot)));
const cosine = (slot: number, query: Float32Array) => stored.cosine(slot, query);
const all = () => true;

function filled(count: number): DeltaIndex {
  const delta = new DeltaIndex(DIMENSION);
  for (let slot = 0; slot < count; slot++) delta.put(slot, vectorOf(slot));
  return delta;
}

describe('ads since the generation', () => {
  const best = (query: Float32Array, slots: readonly number[], k: number) =>
    slots
      .map((row) => ({ row, score: cosine(row, query) }))
      .sort((a, b) => b.score - a.score || a.row - b.row)
      .slice(0, k);
  const slotsUpTo = (count: number) => Array.from({ length: count }, (_, slot) => slot);

  it('are found by the next search, the first as the thousandth', () => {
    const delta = new DeltaIndex(DIMENSION);
    for (let slot = 0; slot < 1000; slot++) {
      const vector = vectorOf(slot);
      delta.put(slot, vector);
      if (slot % 50 === 0) expect(delta.search(vector, 1, all)[0]).toMatchObject({ row: slot });
    }
  });

  it('are searched exactly while they are few', () => {
    const delta = filled(200);
    for (const query of queries) expect(delta.search(query, 10, all)).toEqual(best(query, slotsUpTo(200), 10));
  });

  it('are found as well as in an index when they are many', () => {
    const delta = filled(1200);
    let found = 0;
    for (const query of queries) {
      const truth = new Set(best(query, slotsUpTo(1200), 10).map(({ row }) => row));
      const hits = delta.search(query, 10, all);
      expect(hits).toEqual(hits.toSorted((a, b) => b.score - a.score || a.row - b.row));
      found += hits.filter(({ row }) => truth.has(row)).length;
    }
    expect(found / (10 * queries.length)).toBeGreaterThan(0.97);
  });

  it('are gone when they are taken out, and k is filled from the others', () => {
    const delta = filled(1200);
    const left = slotsUpTo(1200).filter((slot) => slot % 20 === 0);
    for (let slot = 0; slot < 1200; slot++) if (slot % 20 !== 0) delta.remove(slot);
    for (const query of queries) expect(delta.search(query, 10, all)).toEqual(best(query, left, 10));
  });

  it('have their vector and their cosine, until they are taken out', () => {
    const delta = filled(3);
    const [query] = queries as [Float32Array];
    expect(delta.cosine(2, query)).toBe(cosine(2, query));
    for (const [i, value] of delta.unit(2)!.entries()) expect(value).toBeCloseTo(vectorOf(2)[i]!, 4);
    delta.remove(2);
    expect([delta.cosine(2, query), delta.unit(2)]).toEqual([undefined, undefined]);
  });

  it('are passed over where the filter refuses them', () => {
    const delta = filled(600);
    for (const query of queries.slice(0, 10)) {
      const hits = delta.search(query, 10, (slot) => slot % 100 === 7);
      expect(hits.map(({ row }) => row).sort((a, b) => a - b)).toEqual([7, 107, 207, 307, 407, 507]);
    }
  });
});
