import { describe, expect, it } from 'vitest';
import { scan } from '../../../gpu-backend/index/exact.ts';
import { simdRows } from '../../../gpu-backend/index/simd-rows.ts';
import { DEFAULT_HNSW, loadUsearch, type UsearchIndex, usearchBuilder } from '../../../gpu-backend/index/usearch.ts';
import { float32Rows, quantize, type VectorRows } from '../../../gpu-backend/index/vector-rows.ts';
import { annIndexConformance } from '../../conformance/ann-index.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { clusteredVectors, unit } from '../../fixtures/vectors.ts';

const everyRow = (rows: VectorRows) => Uint32Array.from({ length: rows.count }, (_, row) => row);

function build(rows: VectorRows, members: Uint32Array = everyRow(rows)) {
  const builder = usearchBuilder(rows, members);
  for (;;) {
    const step = builder.next();
    if (step.done) return step.value;
  }
}

annIndexConformance({ name: 'usearch', build, minRecall: 0.98 });

describe('int8 in the graph', () => {
  const DIMENSION = 384;
  const { rows: matrix, queries } = clusteredVectors({
    count: 2000,
    dimension: DIMENSION,
    clusters: 100,
    queries: 200,
    seed: 11,
  });
  const full = float32Rows(matrix, DIMENSION);
  const truth = queries.map((query) => new Set(scan(full, query, { k: 10 }).map(({ row }) => row)));
  const recall = (answers: readonly { row: number }[][]) =>
    answers.reduce((sum, hits, i) => sum + hits.filter(({ row }) => truth[i]!.has(row)).length, 0) /
    (10 * queries.length);
  const data = new Int8Array(matrix.length);
  for (let at = 0; at < matrix.length; at += DIMENSION) data.set(quantize(matrix.subarray(at, at + DIMENSION)), at);
  const index = build(simdRows(data, DIMENSION));

  it('and scores of the rows find within half a point of what float32 finds', () => {
    const builder = usearchBuilder(full, everyRow(full), { ...DEFAULT_HNSW, quantization: 'f32', threads: 1 });
    let step = builder.next();
    while (!step.done) step = builder.next();
    const reference = recall(queries.map((query) => (step.value as UsearchIndex).search(query, 10)));
    expect(reference).toBeGreaterThan(0.95);
    const int8 = build(full);
    expect(recall(queries.map((query) => int8.search(query, 10)))).toBeGreaterThan(reference - 0.005);
  });

  it('answers a batch, on any number of threads, as it answers one by one', () => {
    const alone = queries.map((query) => index.search(query, 10));
    for (const threads of [1, 2]) expect(index.searchBatch(queries, 10, threads)).toEqual(alone);
    expect(index.searchBatch(queries.slice(0, 1), 10, 1)).toEqual(alone.slice(0, 1));
    expect(index.searchBatch([], 10, 1)).toEqual([]);
  });

  it('fills k from 0.01 to 100 % of the rows', () => {
    const { rows: many } = clusteredVectors({ count: 10_000, dimension: 16, clusters: 300, queries: 1, seed: 12 });
    const wide = build(float32Rows(many, 16));
    for (const share of [0.0001, 0.001, 0.01, 0.1, 1]) {
      const eligible = 10_000 * share;
      const accept = (row: number) => (row * 7919) % 10_000 < eligible;
      const hits = wide.search(unit(many.slice(0, 16)), 10, accept);
      expect(hits).toHaveLength(Math.min(10, eligible));
      expect(hits.every(({ row }) => accept(row))).toBe(true);
    }
  });
});

describe('a saved graph', () => {
  const at = testFolder('usearch');
  const { rows: matrix, queries } = clusteredVectors({ count: 900, dimension: 32, clusters: 60, queries: 20, seed: 9 });
  const rows = float32Rows(matrix, 32);
  const built = build(rows);
  built.save(at('whole.usearch'));

  it('answers as it did before it was saved', () => {
    const loaded = loadUsearch(at('whole.usearch'), rows, everyRow(rows));
    for (const query of queries) expect(loaded.search(query, 10)).toEqual(built.search(query, 10));
  });

  it('is refused over another number of rows', () => {
    expect(() => loadUsearch(at('whole.usearch'), rows, Uint32Array.of(1, 2))).toThrow(
      /expected 2 vectors of 32, got 900 of 32/,
    );
  });

  it('reports each step of the build', () => {
    const steps: number[] = [];
    const builder = usearchBuilder(rows, everyRow(rows));
    for (let step = builder.next(); !step.done; step = builder.next()) steps.push(step.value);
    expect(steps.at(-1)).toBe(900);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  });
});
