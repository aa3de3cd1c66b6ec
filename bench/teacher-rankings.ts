/** The teacher's own rankings: its query vectors against its ad vectors, exactly, in the query's market. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadBundle } from '../gpu-backend/encoder/bundle.ts';
import type { Query } from '../marketplace/queries.ts';
import type { Ad } from '../shared/contract/ads.ts';
import { openSearch, unitRows } from '../training/evaluate/search.ts';
import { floatModel, TextEncoderSession } from '../training/runner/encoder.ts';
import { readCheckpoint } from '../training/teacher/checkpoint.ts';

export interface TeacherOptions {
  bundleDir: string;
  queries: readonly Query[];
  ads: readonly Ad[];
}

/** `undefined` where the checkpoint is not on this machine. */
export async function teacherRankings({ bundleDir, queries, ads }: TeacherOptions): Promise<string[][] | undefined> {
  const folder = process.env.HARNESS_TEACHER ?? '.cache/checkpoints/all-MiniLM-L6-v2';
  if (!existsSync(join(folder, 'model.safetensors'))) return undefined;
  const checkpoint = await readCheckpoint(folder);
  const { dimension, ids, vectors } = await (await loadBundle(bundleDir)).readAds();
  const encoder = await TextEncoderSession.open(floatModel(checkpoint), {
    tokenizer: checkpoint.tokenizer,
    dimension,
  });
  const queryVectors = await encoder.encode(queries.map(({ normalized }) => normalized));
  const marketsOf = new Map(ads.map(({ id, markets }) => [id, new Set(markets)]));
  const search = await openSearch(unitRows(vectors, dimension), dimension);
  const hits = await search.search(queryVectors, {
    k: 100,
    allowed: (query, row) => marketsOf.get(ids[row]!)?.has(queries[query]!.market) ?? false,
  });
  await search.close();
  return hits.map((list) => list.map(({ row }) => ids[row]!));
}
