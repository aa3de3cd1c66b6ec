import { describe, expect, it } from 'vitest';
import { exactIndex, scan, scanInTurns } from '../../../gpu-backend/index/exact.ts';
import { float32Rows } from '../../../gpu-backend/index/vector-rows.ts';
import { annIndexConformance } from '../../conformance/ann-index.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

annIndexConformance({ name: 'exact search', build: exactIndex, minRecall: 1 });

describe('scan', () => {
  it('equals sorting every cosine, over float32 rows', () => {
    const dimension = 13; // not a multiple of four
    const { rows: matrix, queries } = clusteredVectors({ count: 400, dimension, clusters: 20, queries: 10, seed: 3 });
    const rows = float32Rows(matrix, dimension);
    for (const query of queries) {
      const expected = Array.from({ length: 400 }, (_, row) => {
        let score = 0;
        for (let i = 0; i < dimension; i++) score += matrix[row * dimension + i]! * query[i]!;
        return { row, score };
      }).sort((a, b) => b.score - a.score);
      const hits = scan(rows, query, { k: 25 });
      expect(hits.map(({ row }) => row)).toEqual(expected.slice(0, 25).map(({ row }) => row));
      for (const [i, { score }] of hits.entries()) expect(score).toBeCloseTo(expected[i]!.score, 5);
    }
  });

  it('gives the first of equal rows, in whatever order they are listed', () => {
    const rows = float32Rows(new Float32Array(100).fill(1), 1);
    const members = Uint32Array.from({ length: 100 }, (_, i) => 99 - i);
    expect(scan(rows, Float32Array.of(1), { k: 5, members }).map(({ row }) => row)).toEqual([0, 1, 2, 3, 4]);
  });

  it('finds the same in turns, wherever one ends', async () => {
    const { rows: matrix, queries } = clusteredVectors({
      ...{ count: 20_000, dimension: 4, clusters: 20, queries: 5, seed: 4 },
    });
    const rows = float32Rows(matrix, 4);
    const members = Uint32Array.from({ length: 17_000 }, (_, i) => i + 100);
    const own = [8_191, 8_192, 8_193, 16_383, 16_384, 16_385].map((i) => rows.unit(members[i]!));
    for (const query of [...queries, ...own])
      expect(await scanInTurns(rows, query, { k: 10, members })).toEqual(scan(rows, query, { k: 10, members }));
    expect(await scanInTurns(rows, queries[0]!, { k: 10, members: members.subarray(0, 3) })).toHaveLength(3);
  });
});
