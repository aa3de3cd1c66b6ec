import { describe, expect, it } from 'vitest';
import { loadUsearch, usearchBuilder } from '../../../gpu-backend/index/usearch.ts';
import { float32Rows, type VectorRows } from '../../../gpu-backend/index/vector-rows.ts';
import { annIndexConformance } from '../../conformance/ann-index.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

const everyRow = (rows: VectorRows) => Uint32Array.from({ length: rows.count }, (_, row) => row);

function build(rows: VectorRows, members: Uint32Array = everyRow(rows)) {
  const builder = usearchBuilder(rows, members);
  for (;;) {
    const step = builder.next();
    if (step.done) return step.value;
  }
}

annIndexConformance({ name: 'usearch', build, minRecall: 0.98 });

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
