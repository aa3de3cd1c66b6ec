import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FILES, type GenerationAd, partition } from '../../../gpu-backend/generations/layout.ts';
import { readRows, readVectors } from '../../../gpu-backend/generations/read.ts';
import { movedGraph, moveRows, rowOrder } from '../../../gpu-backend/generations/row-order.ts';
import { graphOrder } from '../../../gpu-backend/index/graph-order.ts';
import { hnswIndex } from '../../../gpu-backend/index/hnsw.ts';
import type { HnswGraph } from '../../../gpu-backend/index/hnsw-graph.ts';
import { buildGraph } from '../../../gpu-backend/index/usearch.ts';
import { sixteenBits } from '../../../gpu-backend/index/vector-rows.ts';
import { writeSafetensors } from '../../../shared/safetensors.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';
import { sampleAd } from '../../setup/samples.ts';

const at = testFolder('row-order');
const [COUNT, DIMENSION] = [1_200, 16];

it('moves ads, vectors and the graphs of all markets together: every market answers with the ads and scores of before', async () => {
  const { rows: matrix, queries } = clusteredVectors({
    ...{ count: COUNT, dimension: DIMENSION, clusters: 40, queries: 30, seed: 4 },
  });
  // us has two ads in three, gb every fifth; some are in both, and some in neither.
  const marketsOf = (row: number) => [...(row % 3 > 0 ? ['us'] : []), ...(row % 5 === 0 ? ['gb'] : [])];
  const ads: GenerationAd[] = Array.from({ length: COUNT }, (_, row) => ({
    ...{ revision: row, source: 'bundle' },
    ad: sampleAd({ id: `ad-${row}`, markets: marketsOf(row) }),
  }));
  const dir = at('generation');
  mkdirSync(dir, { recursive: true });
  const data = new Int16Array(matrix.length);
  for (let from = 0; from < matrix.length; from += DIMENSION)
    data.set(sixteenBits(matrix.subarray(from, from + DIMENSION)), from);
  const tensor = { dtype: 'I16' as const, shape: [COUNT, DIMENSION], data: new Uint8Array(data.buffer) };
  const metadata = { spaceId: 'space' };
  writeFileSync(join(dir, FILES.vectors), writeSafetensors({ tensors: new Map([['vectors', tensor]]), metadata }));
  writeFileSync(join(dir, FILES.ads), 'written anew');
  const vectors = () => readVectors(join(dir, FILES.vectors), { count: COUNT, dimension: DIMENSION });
  const { rows } = await vectors();
  const graphOver = (members: Uint32Array): HnswGraph => {
    const steps = buildGraph(rows, members, { scratch: at('scratch.usearch') });
    for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
  };
  const built = new Map(
    Array.from(await partition(ads), ([market, members]) => [market, { members, graph: graphOver(members) }]),
  );

  const order = rowOrder(COUNT, built.values());
  expect(order.toSorted()).toEqual(Int32Array.from({ length: COUNT }, (_, row) => row));
  expect(order).not.toEqual(order.toSorted());
  // The largest market's come first, as its graph has them.
  const us = built.get('us')!;
  expect(order.subarray(0, us.members.length)).toEqual(graphOrder(us.graph).map((node) => us.members[node]!));
  const bytes = statSync(join(dir, FILES.vectors)).size;
  const moved = await moveRows(dir, ads, order);
  expect(statSync(join(dir, FILES.vectors)).size).toBe(bytes);
  expect(await readRows(join(dir, FILES.ads))).toEqual(moved);
  expect(moved.map(({ revision }) => revision)).toEqual([...order]);

  const { rows: movedRows, spaceId } = await vectors();
  expect(spaceId).toBe('space');
  for (const [market, members] of await partition(moved)) {
    const before = built.get(market)!;
    const old = hnswIndex(before.graph, { rows, members: before.members });
    const now = hnswIndex(movedGraph(before, order), { rows: movedRows, members });
    for (const query of queries)
      expect(now.search(query, 10).map(({ row, score }) => [moved[row]!.ad.id, score])).toEqual(
        old.search(query, 10).map(({ row, score }) => [ads[row]!.ad.id, score]),
      );
  }
});
