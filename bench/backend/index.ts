/**
 * The index against faiss-cpu's HNSW and hnswlib: the same vectors, the same student queries, the same degree and the same
 * effort in building; each searches as little as it may for recall@10 >= 0.95, in turns, on one thread and on two.
 * Ours keeps int8 in its graph and scores what that proposes again, from float32 as the peers do, and from the int8 rows
 * that a generation holds. Graphs are built once, with all threads, and kept under `.cache/bench`.
 */
import { existsSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { scan } from '../../gpu-backend/index/exact.ts';
import { simdRows } from '../../gpu-backend/index/simd-rows.ts';
import { DEFAULT_HNSW, loadUsearch, type UsearchIndex, usearchBuilder } from '../../gpu-backend/index/usearch.ts';
import { float32Rows, quantize, type VectorRows } from '../../gpu-backend/index/vector-rows.ts';
import { bounded, type Row } from '../row.ts';
import { type BenchVectors, benchVectors, K, recallAt } from './ad-vectors.ts';
import { openIndexPeers } from './index-peers.ts';

const MIN_RECALL = 0.95;
/** What a backend searches: the one that the targets are for. */
const SERVED = 'ours, int8 rows';
const EFFORTS = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512];

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

/** int8 rows as a generation holds them. */
export function quantized(matrix: Float32Array, dimension: number): VectorRows {
  const data = new Int8Array(matrix.length);
  for (let at = 0; at < matrix.length; at += dimension) data.set(quantize(matrix.subarray(at, at + dimension)), at);
  return simdRows(data, dimension);
}

/** The graph over the first `rows.count` ads, built and saved where it is not yet; answers its file. */
export function savedGraph(rows: VectorRows, { dir, say }: { dir: string; say: (line: string) => void }): string {
  const { connectivity, expansionAdd, quantization } = DEFAULT_HNSW;
  const path = join(dir, `usearch-${rows.count}-${quantization}-${connectivity}-${expansionAdd}.index`);
  if (existsSync(path)) return path;
  say(`usearch: building over ${rows.count} ads`);
  const members = everyRow(rows);
  const builder = usearchBuilder(rows, members, { ...DEFAULT_HNSW, threads: availableParallelism() });
  let step = builder.next();
  for (let said = 0; !step.done; step = builder.next()) {
    if (step.value < said + rows.count / 10) continue;
    said = step.value;
    say(`usearch: ${said} of ${rows.count}`);
  }
  step.value.save(`${path}.next`);
  renameSync(`${path}.next`, path);
  return path;
}
export const everyRow = (rows: VectorRows) => Uint32Array.from({ length: rows.count }, (_, row) => row);

const rowsOf = (answers: readonly { row: number }[][]) => answers.map((hits) => hits.map(({ row }) => row));

function ours(
  name: string,
  rows: VectorRows,
  { vectors, path, rowBytes }: { vectors: BenchVectors; path: string; rowBytes: number },
): Engine {
  const members = everyRow(rows);
  const before = process.memoryUsage.rss();
  let loaded: { effort: number; index: UsearchIndex } | undefined;
  const at = (effort: number) => {
    if (loaded?.effort !== effort) {
      const index = loadUsearch(path, rows, members, { ...DEFAULT_HNSW, expansionSearch: effort });
      loaded = { effort, index };
    }
    return loaded.index;
  };
  at(DEFAULT_HNSW.expansionSearch);
  return {
    name,
    bytes: process.memoryUsage.rss() - before + rowBytes,
    async run({ effort, threads, seconds }) {
      const index = at(effort);
      const began = performance.now();
      let [batches, answers] = [0, index.searchBatch(vectors.queries, K, threads)];
      for (batches = 1; performance.now() - began < seconds * 1000; batches++) {
        answers = index.searchBatch(vectors.queries, K, threads);
      }
      const took = (performance.now() - began) / 1000;
      return {
        recall: recallAt(rowsOf(answers), vectors.truth),
        queriesPerSecond: (batches * vectors.queries.length) / took,
      };
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

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

export async function indexRows(options: { ads: number; quick: boolean; say: (line: string) => void }): Promise<Row[]> {
  const { quick, say } = options;
  const vectors = await benchVectors(options.ads, { say });
  const { ads, count, dimension } = vectors;
  const float32 = float32Rows(ads, dimension);
  const int8 = quantized(ads, dimension);
  const path = savedGraph(int8, { dir: vectors.dir, say });
  const peers = await openIndexPeers(vectors, { ...DEFAULT_HNSW, say });
  try {
    const norms = 4 * count;
    const engines = [
      ours('ours, float32 rows', float32, { vectors, path, rowBytes: ads.byteLength + norms }),
      ours(SERVED, int8, { vectors, path, rowBytes: ads.length + norms }),
      ...peers.engines,
    ];
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
        const ratios = rates.get(SERVED)!.map((value, turn) => value / rates.get(name)![turn]!);
        rows.push(bounded(`${on}: ${SERVED} / ${name}`, median(ratios), 'ratio', ['>=', 1]));
      }
    }
    for (const { name, bytes } of engines) {
      const share = bytes / ads.byteLength;
      const metric = `${count} ads, ${name}: memory / float32 vectors`;
      rows.push(
        name.startsWith('ours')
          ? bounded(metric, share, 'ratio', ['<=', 1.5])
          : { metric, value: share, unit: 'ratio' },
      );
    }
    // What int8 rows lose by themselves: exact search over them against exact search over float32.
    const sample = vectors.queries.slice(0, quick ? 50 : 200);
    const exact = recallAt(rowsOf(sample.map((query) => scan(int8, query, { k: K }))), vectors.truth);
    const lost = 100 * (1 - exact);
    rows.push({
      metric: `${count} ads: int8 rows, exact search, neighbours lost against float32`,
      value: lost,
      unit: 'points',
    });
    rows.push(...(await equalEffort(engines.slice(0, 2), chosen.get('ours, float32 rows')!.effort, count)));
    if (peers.missing !== undefined) say(`not run: ${peers.missing}`);
    return rows;
  } finally {
    peers.close();
  }
}

/** int8 rows against float32 rows behind the same graph. */
async function equalEffort([float32, int8]: Engine[], effort: number, count: number): Promise<Row[]> {
  const [a, b] = [
    await float32!.run({ effort, threads: 2, seconds: 0 }),
    await int8!.run({ effort, threads: 2, seconds: 0 }),
  ];
  return [
    bounded(`${count} ads: int8 rows against float32 rows, same search`, 100 * (a.recall - b.recall), 'points', [
      '<=',
      0.5,
    ]),
  ];
}
