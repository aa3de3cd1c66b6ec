/**
 * The index against faiss-cpu's HNSW and hnswlib: the same vectors, the same student queries, the same degree and the
 * same length of candidate lists while building, after which ours adds links to rows that few lead to; each searches
 * with the least effort that gives recall@10 >= 0.95, in turns, on one thread and on two. Ours walks its graph over the
 * 16-bit rows that a generation holds; threads share them. Graphs are built once, with all threads, and kept under
 * `.cache/bench`.
 */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { median } from 'simple-statistics';
import { scan } from '../../gpu-backend/index/exact.ts';
import { LINKS_IN } from '../../gpu-backend/index/graph-links.ts';
import { graphOrder, renumbered } from '../../gpu-backend/index/graph-order.ts';
import { hnswIndex } from '../../gpu-backend/index/hnsw.ts';
import { graphImage, type HnswGraph, readGraph } from '../../gpu-backend/index/hnsw-graph.ts';
import { type SimdRows, simdRows } from '../../gpu-backend/index/simd-rows.ts';
import { buildGraph, DEFAULT_HNSW } from '../../gpu-backend/index/usearch.ts';
import { float32Rows, sixteenBits, type VectorRows } from '../../gpu-backend/index/vector-rows.ts';
import { bounded, type Row } from '../row.ts';
import { type BenchVectors, benchVectors, K, recallAt } from './ad-vectors.ts';
import { openIndexPeers } from './index-peers.ts';
import { type IndexThreads, openIndexThreads } from './index-threads.ts';

const MIN_RECALL = 0.95;
const OURS = 'ours';
const EFFORTS = [
  10, 12, 14, 16, 20, 24, 28, 32, 40, 44, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512,
];

/** One of those that are compared. */
export interface Engine {
  name: string;
  /** Bytes of its vectors and its graph in memory. */
  bytes: number;
  /** Asks all queries as a batch, again until `seconds` are over; `effort` is the length of the candidate list. */
  run(options: { effort: number; threads: number; seconds: number }): Promise<Measured>;
}
export interface Measured {
  recall: number;
  queriesPerSecond: number;
}

/** 16-bit rows as a generation holds them. */
export function sixteenBitRows(matrix: Float32Array, dimension: number): SimdRows {
  const data = new Int16Array(matrix.length);
  for (let at = 0; at < matrix.length; at += dimension) data.set(sixteenBits(matrix.subarray(at, at + dimension)), at);
  return simdRows(data, dimension);
}

const { connectivity, expansionAdd, quantization } = DEFAULT_HNSW;
/** What a graph depends on beside its rows, for the name of a file. */
export const GRAPH = [quantization, connectivity, expansionAdd, LINKS_IN].join('-');

/** The graph over the first `rows.count` ads; built and saved where it is not yet. */
export async function savedGraph(
  rows: VectorRows,
  { dir, say }: { dir: string; say: (line: string) => void },
): Promise<HnswGraph> {
  const path = join(dir, `${rows.count}-${GRAPH}.hnsw`);
  if (!existsSync(path)) {
    say(`graph: building over ${rows.count} ads`);
    let said = 0;
    const steps = buildGraph(rows, everyRow(rows), { scratch: `${path}.usearch`, threads: availableParallelism() });
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) {
        writeFileSync(`${path}.next`, graphImage(step.value));
        break;
      }
      if (step.value < said + rows.count / 10) continue;
      said = step.value;
      say(`graph: ${said} of ${rows.count}`);
    }
    renameSync(`${path}.next`, path);
  }
  return readGraph(path, { size: rows.count });
}

/** Rows and graph as a generation's build leaves them (generations/row-order.ts), and which of the vectors each row is. */
export async function movedIndex({ ads, dimension, dir }: BenchVectors, say: (line: string) => void) {
  const inOrder = sixteenBitRows(ads, dimension);
  const graph = await savedGraph(inOrder, { dir, say });
  const order = graphOrder(graph);
  const moved = new Float32Array(ads.length);
  for (const [place, row] of order.entries())
    moved.set(ads.subarray(row * dimension, (row + 1) * dimension), place * dimension);
  return { rows: sixteenBitRows(moved, dimension), graph: renumbered(graph, order), order };
}

export const everyRow = (rows: VectorRows) => Uint32Array.from({ length: rows.count }, (_, row) => row);

function ours(
  vectors: BenchVectors,
  { rows, graph, order }: { rows: SimdRows; graph: HnswGraph; order: Int32Array },
): Engine & { close(): void } {
  const pools = new Map<number, IndexThreads>();
  const { links, above, upper } = graph;
  const { buffer } = rows.share().memory as { buffer: SharedArrayBuffer };
  return {
    name: OURS,
    // With the members, four bytes each, and what a walk has seen, two.
    bytes: buffer.byteLength + links.byteLength + above.byteLength + upper.byteLength + 6 * rows.count,
    async run({ effort, threads, seconds }) {
      let pool = pools.get(threads);
      if (pool === undefined) {
        pool = openIndexThreads({ rows: rows.share(), graph, queries: vectors.queries, k: K }, threads);
        pools.set(threads, pool);
      }
      let answers = await pool.ask(effort);
      const began = performance.now();
      let batches = 0;
      for (; performance.now() - began < seconds * 1000; batches++) answers = await pool.ask(effort);
      const took = (performance.now() - began) / 1000;
      return {
        recall: recallAt(
          answers.map((answer) => answer.map((row) => order[row]!)),
          vectors.truth,
        ),
        queriesPerSecond: (batches * vectors.queries.length) / took,
      };
    },
    close: () => {
      for (const pool of pools.values()) pool.close();
    },
  };
}

/** The least effort that reaches the recall, by bisection: recall grows with effort. */
async function tuned(engine: Engine): Promise<{ effort: number; recall: number }> {
  let [low, high] = [0, EFFORTS.length - 1];
  let best = { effort: EFFORTS[high]!, recall: 0 };
  while (low <= high) {
    const middle = (low + high) >> 1;
    const effort = EFFORTS[middle]!;
    const { recall } = await engine.run({ effort, threads: availableParallelism(), seconds: 0 });
    if (recall >= MIN_RECALL) {
      best = { effort, recall };
      high = middle - 1;
    } else {
      if (best.recall < MIN_RECALL) best = { effort, recall };
      low = middle + 1;
    }
  }
  return best;
}

export async function indexRows(options: { ads: number; quick: boolean; say: (line: string) => void }): Promise<Row[]> {
  const { quick, say } = options;
  const vectors = await benchVectors(options.ads, { say });
  const { ads, count, dimension } = vectors;
  const moved = await movedIndex(vectors, say);
  const peers = await openIndexPeers(vectors, { ...DEFAULT_HNSW, say });
  const own = ours(vectors, moved);
  try {
    const engines: Engine[] = [own, ...peers.engines];
    const chosen = new Map<string, { effort: number; recall: number }>();
    for (const engine of engines) {
      const { effort, recall } = await tuned(engine);
      chosen.set(engine.name, { effort, recall });
      say(`${engine.name}: recall@${K} ${recall.toFixed(4)} at candidate lists of ${effort}`);
    }
    const rows: Row[] = engines.flatMap(({ name }) => [
      {
        metric: `${count} ads, ${name}: recall@${K}`,
        value: chosen.get(name)!.recall,
        unit: 'share',
        target: `>= ${MIN_RECALL}`,
        ok: chosen.get(name)!.recall >= MIN_RECALL,
      },
      { metric: `${count} ads, ${name}: candidate list`, value: chosen.get(name)!.effort, unit: 'rows' },
    ]);
    for (const threads of [1, 2]) {
      const rates = new Map(engines.map(({ name }) => [name, [] as number[]]));
      for (let turn = 0; turn < (quick ? 3 : 5); turn++) {
        for (const engine of engines) {
          const { effort } = chosen.get(engine.name)!;
          const { queriesPerSecond } = await engine.run({ effort, threads, seconds: quick ? 0.5 : 2 });
          rates.get(engine.name)!.push(queriesPerSecond);
        }
      }
      const on = `${count} ads, ${threads} thread${threads > 1 ? 's' : ''}`;
      for (const [name, values] of rates)
        rows.push({ metric: `${on}: ${name}`, value: median(values), unit: 'queries/s' });
      for (const { name } of peers.engines) {
        const ratios = rates.get(OURS)!.map((value, turn) => value / rates.get(name)![turn]!);
        rows.push(bounded(`${on}: ${OURS} / ${name}`, median(ratios), 'ratio', ['>=', 1]));
      }
    }
    for (const { name, bytes } of engines) {
      const share = bytes / ads.byteLength;
      const metric = `${count} ads, ${name}: memory / float32 vectors`;
      rows.push(name === OURS ? bounded(metric, share, 'ratio', ['<=', 1.5]) : { metric, value: share, unit: 'ratio' });
    }
    // What 16 bits lose by themselves, and behind the graph.
    const lost = (metric: string, [exact, stored]: readonly number[]) =>
      bounded(`${count} ads: ${metric}`, 100 * (exact! - stored!), 'points', ['<=', 0.5]);
    const sample = vectors.queries.slice(0, quick ? 50 : 200);
    const float32 = float32Rows(ads, dimension);
    const effort = chosen.get(OURS)!.effort;
    const rows16 = sixteenBitRows(ads, dimension);
    const graph = await savedGraph(rows16, { dir: vectors.dir, say });
    const [scanned, walked] = [
      [float32, rows16].map((rows) => sample.map((query) => scan(rows, query, { k: K }))),
      [float32, rows16].map((rows) => {
        const index = hnswIndex(graph, { rows, members: everyRow(rows), expansionSearch: effort });
        return vectors.queries.map((query) => index.search(query, K));
      }),
    ].map((answers) =>
      answers.map((hits) =>
        recallAt(
          hits.map((best) => best.map(({ row }) => row)),
          vectors.truth,
        ),
      ),
    );
    rows.push(lost('16-bit rows against float32 rows, exact search', scanned!));
    rows.push(lost('16-bit rows against float32 rows, same search', walked!));
    if (peers.missing !== undefined) say(`not run: ${peers.missing}`);
    return rows;
  } finally {
    own.close();
    peers.close();
  }
}
