/** A generation over the catalogue of ads.ts, built as the backend builds it and kept under `.cache/bench`. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { buildGeneration } from '../../gpu-backend/generations/build.ts';
import { GENERATION_FORMAT } from '../../gpu-backend/generations/layout.ts';
import { LEXICAL_VERSION } from '../../gpu-backend/retrieval/lexical-terms.ts';
import { createRandom } from '../../marketplace/random.ts';
import { benchAds } from './ads.ts';

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

export async function benchGeneration(count: number, say: (line: string) => void): Promise<BenchGeneration> {
  const dir = join('.cache', 'bench', `generation-${GENERATION_FORMAT}-${LEXICAL_VERSION}-${count}`);
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
  let bytes = 0;
  for (const file of await readdir(path)) bytes += (await stat(join(path, file))).size;
  return { path, spaceId, queries, buildSeconds, bytes };
}
