/** What every index must do (gpu-backend/index/ann-index.ts), whatever is inside; run by the test of each adapter. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AnnIndex } from '../../gpu-backend/index/ann-index.ts';
import { scan } from '../../gpu-backend/index/exact.ts';
import { int8Rows, quantize, type VectorRows } from '../../gpu-backend/index/vector-rows.ts';
import { gaussians } from '../fixtures/random.ts';
import { clusteredVectors, unit } from '../fixtures/vectors.ts';

export interface Adapter {
  name: string;
  /** Over `members` of the rows, or all. */
  build(rows: VectorRows, members?: Uint32Array): AnnIndex | Promise<AnnIndex>;
  /** Least recall@10 over clustered vectors; 1 for exact ones. */
  minRecall: number;
}

const DIMENSION = 48;

function int8Of(rows: Float32Array, dimension: number): VectorRows {
  const data = new Int8Array(rows.length);
  for (let at = 0; at < rows.length; at += dimension) data.set(quantize(rows.subarray(at, at + dimension)), at);
  return int8Rows(data, dimension);
}

export function annIndexConformance({ name, build, minRecall }: Adapter): void {
  describe(`${name} as an index`, () => {
    const { rows: matrix, queries } = clusteredVectors({
      count: 3000,
      dimension: DIMENSION,
      clusters: 150,
      queries: 100,
      seed: 7,
    });
    const rows = int8Of(matrix, DIMENSION);
    let index: AnnIndex;
    beforeAll(async () => {
      index = await build(rows);
    });

    it('knows its size and dimension', async () => {
      expect([index.size, index.dimension]).toEqual([3000, DIMENSION]);
    });

    it(`finds at least ${minRecall} of the true ten nearest`, async () => {
      let found = 0;
      for (const query of queries) {
        const truth = new Set(scan(rows, query, { k: 10 }).map(({ row }) => row));
        found += (await index.search(query, 10)).filter(({ row }) => truth.has(row)).length;
      }
      expect(found / (10 * queries.length)).toBeGreaterThanOrEqual(minRecall);
    });

    it('answers best first, ties by row, each row once, with the cosine of the row', async () => {
      for (const query of queries.slice(0, 20)) {
        const hits = await index.search(query, 40);
        expect(hits).toHaveLength(40);
        expect(hits).toEqual(hits.toSorted((a, b) => b.score - a.score || a.row - b.row));
        expect(new Set(hits.map(({ row }) => row)).size).toBe(40);
        for (const { row, score } of hits) expect(score).toBe(rows.cosine(row, query));
      }
    });

    it('gives rows of the same vector in row order', async () => {
      const same = new Float32Array(20 * DIMENSION);
      for (let row = 0; row < 20; row++) same.set(matrix.subarray(0, DIMENSION), row * DIMENSION);
      const hits = await (await build(int8Of(same, DIMENSION))).search(queries[0]!, 20);
      expect(hits.map(({ row }) => row)).toEqual(Array.from({ length: 20 }, (_, row) => row));
    });

    it('fills k from what a filter of any width lets through, and from nothing else', async () => {
      for (const share of [0.0004, 0.001, 0.01, 0.1, 0.5, 0.9, 1]) {
        const eligible = Math.max(1, Math.floor(3000 * share));
        const accept = (row: number) => (row * 7919) % 3000 < eligible;
        for (const query of queries.slice(0, 10)) {
          const hits = await index.search(query, 10, accept);
          expect(hits).toHaveLength(Math.min(10, eligible));
          expect(hits.every(({ row }) => accept(row))).toBe(true);
        }
      }
    });

    it('finds what a filter leaves even when it is far from the query', async () => {
      const query = queries[0]!;
      const far = new Set(
        scan(rows, query, { k: 3000 })
          .slice(-25)
          .map(({ row }) => row),
      );
      const hits = await index.search(query, 10, (row) => far.has(row));
      expect(hits).toEqual(scan(rows, query, { k: 10, accept: (row) => far.has(row) }));
    });

    it('searches only its members', async () => {
      const members = Uint32Array.from({ length: 500 }, (_, i) => i * 6 + 1);
      const partial = await build(rows, members);
      expect(partial.size).toBe(500);
      for (const query of queries.slice(0, 10)) {
        for (const { row } of await partial.search(query, 20)) expect(row % 6).toBe(1);
      }
      const every = (await partial.search(queries[0]!, 500)).map(({ row }) => row);
      expect(every.toSorted((a, b) => a - b)).toEqual([...members]);
    });

    it('answers fewer only when there are fewer, and nothing for k = 0 or a filter that refuses all', async () => {
      const few = await build(int8Of(matrix.subarray(0, 3 * DIMENSION), DIMENSION));
      expect(await few.search(queries[0]!, 10)).toHaveLength(3);
      expect(await index.search(queries[0]!, 0)).toEqual([]);
      expect(await index.search(queries[0]!, 10, () => false)).toEqual([]);
    });

    it('refuses a query of another dimension', async () => {
      const asked = async () => index.search(new Float32Array(DIMENSION + 1), 10);
      await expect(asked()).rejects.toThrow(
        new RangeError(`expected a query of ${DIMENSION} components, got ${DIMENSION + 1}`),
      );
    });

    it('finds every row by its own vector, at any number of rows', async () => {
      const shape = fc.record({ count: fc.integer({ min: 1, max: 80 }), seed: fc.integer({ min: 0, max: 2 ** 31 }) });
      await fc.assert(
        fc.asyncProperty(shape, async ({ count, seed }) => {
          const normal = gaussians(seed);
          const own = int8Of(Float32Array.from({ length: count * 16 }, normal), 16);
          const small = await build(own);
          for (let row = 0; row < count; row += 7) {
            expect((await small.search(unit(own.unit(row)), 1))[0]!.score).toBeGreaterThan(0.999);
          }
        }),
        { seed: 1, numRuns: 20 },
      );
    });
  });
}
