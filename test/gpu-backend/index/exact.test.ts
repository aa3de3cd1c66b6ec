import { describe, expect, it } from 'vitest';
import { exactIndex, scan } from '../../../gpu-backend/index/exact.ts';
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
});
