/**
 * The process that makes the indices of a generation from the files in its folder. A process of its own, because native
 * adds hold their thread, and because the memory of a build goes back to the system only with the process that took it.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { graphImage } from '../index/hnsw-graph.ts';
import type { MilvusOptions } from '../index/milvus.ts';
import { buildGraph } from '../index/usearch.ts';
import { LexicalSegmentBuilder } from '../retrieval/lexical-segment.ts';
import { indexedAd } from '../retrieval/lexical-terms.ts';
import { FILES, indexFile, partition } from './layout.ts';
import { readRows, readVectors } from './read.ts';
import { type MarketGraph, movedGraph, moveRows, rowOrder } from './row-order.ts';

export interface BuildSettings {
  dir: string;
  dimension: number;
  threads: number;
  /** Where the index goes instead of into the folder; the token comes in the environment, which other users cannot read. */
  milvus?: Pick<MilvusOptions, 'address'> & { collections: Readonly<Record<string, string>> };
}
export type FromBuilder =
  | { kind: 'progress'; done: number; total: number }
  | { kind: 'done' }
  | { kind: 'failed'; reason: string };

if (process.send === undefined) throw new Error('build-process.ts runs as a child process of build.ts only.');
// The service has gone: what is being built will be removed when it comes back.
const leave = () => process.exit(1);
process.on('disconnect', leave);
const { dir, dimension, threads, milvus } = JSON.parse(process.argv[2] ?? '') as BuildSettings;
/** Waits until it is sent: if the service reads nothing for a while, what is unsent at the end would be lost. */
const say = async (message: FromBuilder) => {
  await new Promise<void>((sent) => {
    process.send?.(message, undefined, undefined, (error) => (error === null ? sent() : leave()));
  });
  await nextTurn();
};

async function build(): Promise<void> {
  let ads = await readRows(join(dir, FILES.ads));
  const { rows: vectors } = await readVectors(join(dir, FILES.vectors), { count: ads.length, dimension });
  const partitions = await partition(ads);
  const total = ads.length + [...partitions.values()].reduce((sum, rows) => sum + rows.length, 0);

  let done = 0;
  const server =
    milvus === undefined
      ? undefined
      : await (await import('../index/milvus.ts')).openMilvus({ ...milvus, token: process.env.HARNESS_MILVUS_TOKEN });
  const graphs = new Map<string, MarketGraph>();
  for (const [market, rows] of partitions) {
    if (server !== undefined) {
      const uploading = server.build(milvus!.collections[market]!, vectors, rows);
      for await (const uploaded of uploading) await say({ kind: 'progress', done: done + uploaded, total });
      done += rows.length;
      continue;
    }
    const steps = buildGraph(vectors, rows, { scratch: join(dir, 'usearch'), threads });
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) {
        graphs.set(market, { members: rows, graph: step.value });
        break;
      }
      await say({ kind: 'progress', done: done + step.value, total });
    }
    done += rows.length;
  }
  await server?.close();

  if (graphs.size > 0) {
    const order = rowOrder(ads.length, graphs.values());
    ads = await moveRows(dir, ads, order);
    for (const [market, built] of graphs)
      await writeFile(join(dir, indexFile(market)), graphImage(movedGraph(built, order)));
  }

  const lexical = new LexicalSegmentBuilder();
  for (const [row, { ad }] of ads.entries()) {
    lexical.add(indexedAd(ad));
    if (row % 500 === 499) await say({ kind: 'progress', done: done + row + 1, total });
  }
  await writeFile(join(dir, FILES.lexical), lexical.image());
  await say({ kind: 'progress', done: total, total });
}

try {
  await build();
  await say({ kind: 'done' });
} catch (error) {
  await say({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
  throw error;
}
process.disconnect();
