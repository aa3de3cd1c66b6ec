/**
 * usearch builds the graphs: in native code, on several threads, with int8 inside, which halves the memory that a build reads
 * against float16. What it has built gets the links that it lacks (graph-links.ts) and is walked by hnsw.ts.
 */
import { rmSync } from 'node:fs';
import usearch from 'usearch';
import { linkMore } from './graph-links.ts';
import { EXPANSION_SEARCH } from './hnsw.ts';
import { type HnswGraph, readUsearchLinks } from './hnsw-graph.ts';
import type { VectorRows } from './vector-rows.ts';

/** Graph degree (twice that at level 0), candidate list length and what the build keeps of a vector; recall against time and memory. */
export interface HnswOptions {
  connectivity: number;
  expansionAdd: number;
  quantization: 'i8' | 'bf16' | 'f16' | 'f32';
}
export const DEFAULT_HNSW: HnswOptions = { connectivity: 16, expansionAdd: 128, quantization: 'i8' };

/** Rows added a call: usearch holds the thread while it adds. */
const CHUNK = 64;

/** The first rows are added by one thread: threads that add at once do not see each other's rows, and a small graph falls apart. */
const ALONE = 2_048;

const SCALARS = {
  i8: usearch.ScalarKind.I8,
  bf16: usearch.ScalarKind.BF16,
  f16: usearch.ScalarKind.F16,
  f32: usearch.ScalarKind.F32,
} as const;

function createGraph(dimension: number, options: HnswOptions) {
  return new usearch.Index({
    dimensions: dimension,
    metric: usearch.MetricKind.IP,
    quantization: SCALARS[options.quantization],
    connectivity: options.connectivity,
    expansion_add: options.expansionAdd,
    expansion_search: EXPANSION_SEARCH,
    multi: false,
  });
}

/**
 * Builds a graph over `members` of the rows, step by step: each step adds a few rows and yields how many are in, so that
 * the caller decides how long the thread is held. usearch hands its links out in a file only: it is written to `scratch` and removed.
 */
export function* buildGraph(
  rows: VectorRows,
  members: ArrayLike<number>,
  { scratch, threads = 1, ...options }: Partial<HnswOptions> & { scratch: string; threads?: number },
): Generator<number, HnswGraph> {
  const graph = createGraph(rows.dimension, { ...DEFAULT_HNSW, ...options });
  for (let from = 0; from < members.length; from += CHUNK) {
    const count = Math.min(CHUNK, members.length - from);
    const vectors = new Float32Array(count * rows.dimension);
    for (let i = 0; i < count; i++) vectors.set(rows.unit(members[from + i]!), i * rows.dimension);
    graph.add(
      BigUint64Array.from({ length: count }, (_, i) => BigInt(from + i)),
      vectors,
      from < ALONE ? 1 : threads,
    );
    yield from + count;
  }
  try {
    graph.save(scratch);
    const built = readUsearchLinks(scratch);
    for (const _ of linkMore(built, { rows, members })) yield members.length;
    return built;
  } finally {
    rmSync(scratch, { force: true });
  }
}
