import { describe, expect, it } from 'vitest';
import { scan } from '../../../gpu-backend/index/exact.ts';
import { growingIndex } from '../../../gpu-backend/index/growing-graph.ts';
import { simdRows } from '../../../gpu-backend/index/simd-rows.ts';
import { sixteenBits } from '../../../gpu-backend/index/vector-rows.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

const DIMENSION = 48;
const COUNT = 1500;
const { rows: matrix, queries } = clusteredVectors({
  count: COUNT,
  dimension: DIMENSION,
  clusters: 75,
  queries: 100,
  seed: 7,
});

/** Rows in an order of their own: `order[row]` is the place in the matrix. */
function grown(order: readonly number[]) {
  const rows = simdRows(new Int16Array(0), DIMENSION);
  const index = growingIndex(rows);
  for (const place of order) {
    index.add(rows.append(sixteenBits(matrix.subarray(place * DIMENSION, (place + 1) * DIMENSION))));
  }
  return { rows, index };
}
const inTurn = Array.from({ length: COUNT }, (_, i) => i);
/** All of a cluster, then all of the next. */
const byCluster = inTurn.toSorted((a, b) => (a % 75) - (b % 75) || a - b);

describe('a graph that rows join one by one', () => {
  it.each([
    ['clusters in turn', inTurn],
    ['a cluster after the other', byCluster],
  ])('finds what an exact search finds: %s', (_, order) => {
    const { rows, index } = grown(order);
    let found = 0;
    for (const query of queries) {
      const truth = new Set(scan(rows, query, { k: 10 }).map(({ row }) => row));
      found += index.search(query, 10).filter(({ row }) => truth.has(row)).length;
    }
    expect(found / (10 * queries.length)).toBeGreaterThan(0.98);
  });

  it('finds nearly every row by its own vector, the first as the last', () => {
    const { rows, index } = grown(byCluster);
    let found = 0;
    for (let row = 0; row < COUNT; row++) if (index.search(rows.unit(row), 1)[0]!.row === row) found++;
    expect(found / COUNT).toBeGreaterThan(0.995);
  });

  it('finds a row by the next search, while it is small and once it is large', () => {
    const { rows, index } = grown([]);
    expect(index.search(queries[0]!, 10)).toEqual([]);
    let found = 0;
    for (let row = 0; row < 600; row++) {
      index.add(rows.append(sixteenBits(matrix.subarray(row * DIMENSION, (row + 1) * DIMENSION))));
      if (index.search(rows.unit(row), 1)[0]!.row === row) found++;
    }
    expect([found, index.size]).toEqual([600, 600]);
  });

  it('has room for equal rows', () => {
    const { index } = grown(Array.from({ length: 600 }, (_, i) => (i < 300 ? 0 : i)));
    const hits = index.search(matrix.subarray(0, DIMENSION), 10);
    expect(hits).toHaveLength(10);
    for (const { score } of hits) expect(score).toBeGreaterThan(0.9999);
  });

  it('takes rows in their order', () => {
    expect(() => grown([0]).index.add(2)).toThrow('expected row 1, got 2');
  });
});
