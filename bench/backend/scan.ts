/**
 * The exact scan on a device (HARNESS_INDEX=scan), here on the CPU: what a query costs alone and among others that wait, beside
 * the graph over the same rows, and the memory that the scan takes besides the rows.
 */
import { openDeviceScan } from '../../gpu-backend/index/device-scan.ts';
import { hnswIndex } from '../../gpu-backend/index/hnsw.ts';
import type { Row } from '../row.ts';
import { benchVectors, K, recallAt } from './ad-vectors.ts';
import { everyRow, savedGraph, sixteenBitRows } from './index.ts';

/** Queries that wait at a time. */
const TOGETHER = 16;

const at = (share: number, values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))]!;

export async function scanRows(options: {
  sizes: readonly number[];
  seconds: number;
  say: (line: string) => void;
}): Promise<Row[]> {
  const { sizes, seconds, say } = options;
  const table: Row[] = [];
  for (const ads of sizes) {
    const vectors = await benchVectors(ads, { of: Math.max(...sizes), say });
    const rows = sixteenBitRows(vectors.ads, vectors.dimension);
    const graph = hnswIndex(await savedGraph(rows, { dir: vectors.dir, say }), { rows, members: everyRow(rows) });
    const before = process.memoryUsage.rss();
    const began = performance.now();
    const scan = await openDeviceScan(rows, { provider: 'cpu' });
    const opened = performance.now() - began;
    const queries = vectors.queries.slice(0, 200);
    /** Milliseconds of each search, so many at a time. */
    const timed = async (index: typeof scan | typeof graph, together: number) => {
      const times: number[] = [];
      const until = performance.now() + 1000 * seconds;
      for (let from = 0; performance.now() < until; from += together) {
        const start = performance.now();
        const asked = Array.from({ length: together }, (_, i) => queries[(from + i) % queries.length]!);
        await Promise.all(asked.map((query) => index.search(query, K)));
        times.push(performance.now() - start);
      }
      return times;
    };
    const answers = await Promise.all(queries.map((query) => scan.search(query, K)));
    await timed(graph, 1); // warm
    const [alone, among, walked] = [await timed(scan, 1), await timed(scan, TOGETHER), await timed(graph, 1)];
    const on = `${ads} ads, scan on the CPU`;
    const ms = (metric: string, value: number): Row => ({ metric: `${on}: ${metric}`, value, unit: 'ms' });
    table.push(
      {
        metric: `${on}: recall@${K}`,
        value: recallAt(
          answers.map((hits) => hits.map(({ row }) => row)),
          vectors.truth,
        ),
        unit: 'share',
      },
      ms('opened in', opened),
      { metric: `${on}: memory besides the rows`, value: (process.memoryUsage.rss() - before) / 1e6, unit: 'MB' },
      ms('a query alone, p50', at(0.5, alone)),
      ms('a query alone, p99', at(0.99, alone)),
      ms(`a query of ${TOGETHER} together, share of p50`, at(0.5, among) / TOGETHER),
      { metric: `${ads} ads, graph: a query alone, p50`, value: at(0.5, walked), unit: 'ms' },
    );
    await scan.close();
  }
  return table;
}
