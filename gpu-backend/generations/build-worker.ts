/** The thread that makes the indices of a generation from the files in its folder; native adds hold it, and nobody else. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { DEFAULT_HNSW, usearchBuilder } from '../index/usearch.ts';
import { LexicalIndex } from '../retrieval/lexical.ts';
import { FILES, indexFile, partition } from './layout.ts';
import { readRows, readVectors } from './read.ts';

export interface BuildSettings {
  dir: string;
  dimension: number;
  threads: number;
}
export type FromBuilder = { kind: 'progress'; done: number; total: number } | { kind: 'done' };

const port = parentPort;
if (port === null) throw new Error('build-worker.ts runs as a worker thread of build.ts only.');
const { dir, dimension, threads } = workerData as BuildSettings;
const say = (message: FromBuilder) => port.postMessage(message);

const ads = readRows(await readFile(join(dir, FILES.ads), 'utf8'));
const vectors = readVectors(await readFile(join(dir, FILES.vectors)), {
  path: FILES.vectors,
  count: ads.length,
  dimension,
});
const partitions = partition(ads);
const total = ads.length + [...partitions.values()].reduce((sum, rows) => sum + rows.length, 0);

const lexical = new LexicalIndex();
for (const [row, { ad }] of ads.entries()) {
  lexical.put(row, ad);
  if (row % 500 === 499) say({ kind: 'progress', done: row + 1, total });
}
await writeFile(join(dir, FILES.lexical), lexical.serialize());

let done = ads.length;
for (const [market, rows] of partitions) {
  const builder = usearchBuilder(vectors, rows, { ...DEFAULT_HNSW, threads });
  let step = builder.next();
  for (; !step.done; step = builder.next()) say({ kind: 'progress', done: done + step.value, total });
  step.value.save(join(dir, indexFile(market)));
  done += rows.length;
}
say({ kind: 'done' });
