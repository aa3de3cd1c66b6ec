/** A generation over the catalogue of ads.ts, built and gated as the backend does it and kept under `.cache/bench`. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { loadBundle } from '../../gpu-backend/encoder/bundle.ts';
import { createEncoder } from '../../gpu-backend/encoder/pool.ts';
import { buildGeneration } from '../../gpu-backend/generations/build.ts';
import { checkGeneration } from '../../gpu-backend/generations/gate.ts';
import { GENERATION_FORMAT } from '../../gpu-backend/generations/layout.ts';
import { openGenerationStore } from '../../gpu-backend/generations/store.ts';
import { LEXICAL_VERSION } from '../../gpu-backend/retrieval/lexical-terms.ts';
import { createRandom } from '../../marketplace/random.ts';
import { benchAds } from './ads.ts';
import { GRAPH } from './index.ts';

export interface BenchGeneration {
  /** Folder that `loadGeneration` opens. */
  path: string;
  spaceId: string;
  /** Distinct normalized queries, none of which the ads were made from, in a fixed random order. */
  queries: string[];
  /** How long the build took, whenever that was. */
  buildSeconds: number;
  bytes: number;
}

/** Queries of the gate, from the end: a measurement begins at the other one. */
const GATED = 200;

/** Passes the gate, which writes down how the generation is to be searched. */
async function publish(
  dir: string,
  { spaceId, queries, say }: { spaceId: string; queries: string[]; say: (line: string) => void },
): Promise<void> {
  say('checking the generation');
  const encoder = await createEncoder({ bundle: await loadBundle('models/default'), workers: 1 });
  const { vectors } = await encoder.encode(queries);
  await encoder.close();
  const store = await openGenerationStore({ dir });
  const generation = await store.load(store.folder(1), { spaceId });
  const checked = await checkGeneration(generation, { spaceId, queries: vectors, liveAds: 0 });
  await store.publish(1, { ...checked, nowMs: 0 });
}

export async function benchGeneration(count: number, say: (line: string) => void): Promise<BenchGeneration> {
  const dir = join('.cache', 'bench', `generation-${GENERATION_FORMAT}-${LEXICAL_VERSION}-${GRAPH}-${count}`);
  const [path, record] = [join(dir, '1'), join(dir, 'bench.json')];
  if (!existsSync(path) || !existsSync(record)) {
    say(`making ${count} ads`);
    const { market, spaceId, dimension, ads, vectors } = await benchAds(count);
    const asked = [...market.queries.train, ...market.queries.test].map(({ normalized }) => normalized);
    await mkdir(dir, { recursive: true });
    const beganAt = performance.now();
    let said = 0;
    await buildGeneration({
      number: 1,
      dir,
      ads: ads.map((ad) => ({ ad, revision: 1 })),
      vectorOf: (row) => ({ components: vectors.subarray(row * dimension, (row + 1) * dimension), source: 'bundle' }),
      spaceId,
      dimension,
      model: 'bench',
      nowMs: 0,
      threads: availableParallelism(),
      onProgress: (done, total) => {
        if (done < said + total / 20) return;
        said = done;
        say(`building the generation: ${Math.round((100 * done) / total)} %`);
      },
    });
    const buildSeconds = (performance.now() - beganAt) / 1_000;
    const distinct = [...new Set(asked)];
    const queries = createRandom(1, 'bench-queries').sample(distinct, Math.min(20_000, distinct.length));
    await writeFile(record, JSON.stringify({ spaceId, buildSeconds, queries }));
  }
  const { spaceId, buildSeconds, queries } = JSON.parse(await readFile(record, 'utf8'));
  if (!existsSync(join(path, 'published.json'))) await publish(dir, { spaceId, queries: queries.slice(-GATED), say });
  let bytes = 0;
  for (const file of await readdir(path)) bytes += (await stat(join(path, file))).size;
  return { path, spaceId, queries, buildSeconds, bytes };
}
