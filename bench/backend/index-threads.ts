/** The index asked on several threads, over one copy of its rows and links: each has a share of the queries, and all wait for the slowest. */
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { hnswIndex } from '../../gpu-backend/index/hnsw.ts';
import type { HnswGraph } from '../../gpu-backend/index/hnsw-graph.ts';
import { openSimdRows, type SharedRows } from '../../gpu-backend/index/simd-rows.ts';

export interface Asked {
  rows: SharedRows;
  graph: HnswGraph;
  queries: Float32Array[];
  k: number;
}

export interface IndexThreads {
  /** Rows of the `k` best of each query, best first, with a candidate list of `effort`. */
  ask(effort: number): Promise<number[][]>;
  close(): void;
}

export function openIndexThreads(asked: Asked, threads: number): IndexThreads {
  const each = Math.ceil(asked.queries.length / threads);
  const workers = Array.from({ length: threads }, (_, i) => {
    const queries = asked.queries.slice(i * each, (i + 1) * each);
    return new Worker(import.meta.filename, { workerData: { ...asked, queries } satisfies Asked });
  });
  return {
    async ask(effort) {
      const answers = workers.map(
        (worker) =>
          new Promise<number[][]>((resolve, reject) => {
            worker.removeAllListeners().once('message', resolve).once('error', reject);
            worker.postMessage(effort);
          }),
      );
      return (await Promise.all(answers)).flat();
    },
    close: () => {
      for (const worker of workers) void worker.terminate();
    },
  };
}

if (parentPort !== null && workerData?.graph !== undefined) {
  const { rows: shared, graph, queries, k } = workerData as Asked;
  const rows = openSimdRows(shared);
  const members = Uint32Array.from({ length: rows.count }, (_, row) => row);
  const port = parentPort;
  let index: { effort: number; of: ReturnType<typeof hnswIndex> } | undefined;
  port.on('message', (effort: number) => {
    if (index?.effort !== effort) index = { effort, of: hnswIndex(graph, { rows, members, expansionSearch: effort }) };
    const { of } = index;
    port.postMessage(queries.map((query) => of.search(query, k).map(({ row }) => row)));
  });
}
