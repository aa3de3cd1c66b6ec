import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { buildGeneration } from '../../../gpu-backend/generations/build.ts';
import { FILES } from '../../../gpu-backend/generations/layout.ts';
import { loadGeneration } from '../../../gpu-backend/generations/load.ts';
import { quantize } from '../../../gpu-backend/index/vector-rows.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';
import { sampleAd } from '../../setup/samples.ts';

const at = testFolder('build');
/** More than two of the blocks that are written at a time. */
const [COUNT, DIMENSION] = [1_100, 8];

it('every ad has its own vector, whichever block of the file that is in', async () => {
  const { rows: matrix } = clusteredVectors({ count: COUNT, dimension: DIMENSION, clusters: 40, queries: 1, seed: 2 });
  const components = Array.from({ length: COUNT }, (_, row) =>
    quantize(matrix.subarray(row * DIMENSION, (row + 1) * DIMENSION)),
  );
  const dir = at('generations');
  mkdirSync(dir, { recursive: true });
  const path = await buildGeneration({
    ...{ number: 1, dir, spaceId: 'space', dimension: DIMENSION, model: 'm', nowMs: 0 },
    ads: components.map((_, row) => ({ ad: sampleAd({ id: `ad-${row}` }), revision: row })),
    vectorOf: (row) => ({ components: components[row]!, source: row % 2 === 0 ? 'bundle' : 'uploaded' }),
  });
  const { ads, rows, rowOf, manifest } = await loadGeneration(path, { spaceId: 'space' });
  expect([ads.length, manifest.vectors]).toEqual([COUNT, { uploaded: COUNT / 2, bundle: COUNT / 2, student: 0 }]);
  for (const [row, own] of components.entries()) {
    const length = Math.hypot(...own);
    const found = rows.unit(rowOf.get(`ad-${row}`)!);
    for (const [i, value] of own.entries()) expect(found[i]).toBeCloseTo(value / length, 4);
  }
});

it('that fails in its process says why, and leaves nothing', async () => {
  const dir = at('failing');
  mkdirSync(dir, { recursive: true });
  const build = buildGeneration({
    ...{ number: 1, dir, spaceId: 'space', dimension: DIMENSION, model: 'm', nowMs: 0 },
    ads: [{ ad: sampleAd({ id: 'only' }), revision: 1 }],
    vectorOf: () => {
      mkdirSync(join(dir, 'building-1', FILES.lexical), { recursive: true }); // where a file is to be
      return { components: new Int8Array(DIMENSION).fill(1), source: 'bundle' };
    },
  });
  await expect(build).rejects.toMatchObject({ code: 'internal', message: expect.stringMatching(/EISDIR.*lexical/) });
  expect(readdirSync(dir)).toEqual([]);
});
