/** Exact search against a full sort. */
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { openSearch, topRows, unitRows } from '../../../training/evaluate/search.ts';

describe('exact search', () => {
  it('keeps the k best in order, ties by row, and only allowed rows', () => {
    const hits = topRows(Float32Array.of(0.1, 0.9, 0.5, 0.9, 0.7), 3, (row) => row !== 4);
    expect(hits.map(({ row }) => row)).toEqual([1, 3, 2]);
  });

  it('finds what a full sort by cosine finds', async () => {
    const random = seeded('vectors');
    const dimension = 8;
    const vectors = Int8Array.from({ length: 300 * dimension }, () => Math.round(random() * 254 - 127));
    const rows = unitRows(vectors, dimension);
    const queries = rows.slice(0, 70 * dimension);
    const search = await openSearch(rows, dimension);
    const found = await search.search(queries, { k: 10, allowed: (query, row) => (query + row) % 3 !== 0 });
    await search.close();
    for (const [query, hits] of found.entries()) {
      const all = Array.from({ length: 300 }, (_, row) => {
        let score = 0;
        for (let i = 0; i < dimension; i++) score += rows[row * dimension + i]! * queries[query * dimension + i]!;
        return { row, score };
      });
      const best = all.filter(({ row }) => (query + row) % 3 !== 0).sort((a, b) => b.score - a.score);
      expect(hits).toHaveLength(10);
      for (const [rank, { score }] of hits.entries()) expect(score).toBeCloseTo(best[rank]!.score, 4);
    }
  });
});
