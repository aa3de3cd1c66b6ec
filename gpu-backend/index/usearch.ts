/**
 * Approximate search with usearch (HNSW: Malkov and Yashunin, 2018), float16 inside. The graph proposes rows, the exact
 * rows score them, so every adapter gives the same score for the same row. usearch has no filter: the filter is applied
 * to more hits than asked for, in growing steps, and where that is not enough the accepted rows are scanned exactly.
 */
import usearch from 'usearch';
import { HarnessError } from '../../shared/problem.ts';
import { byScore, type Hit, type LocalIndex, requireDimension } from './ann-index.ts';
import { scan } from './exact.ts';
import type { VectorRows } from './vector-rows.ts';

/** Graph degree and candidate list lengths; recall against time. */
export interface HnswOptions {
  connectivity: number;
  expansionAdd: number;
  expansionSearch: number;
}
export const DEFAULT_HNSW: HnswOptions = { connectivity: 16, expansionAdd: 128, expansionSearch: 64 };

/** A row proposed by the graph costs about as much as this many rows scored exactly (measured at 384 dimensions). */
const SCORES_PER_PROPOSAL = 16;

/** Rows added a call: usearch holds the thread while it adds. */
const CHUNK = 64;

function createGraph(dimension: number, options: HnswOptions) {
  return new usearch.Index({
    dimensions: dimension,
    metric: usearch.MetricKind.IP,
    quantization: usearch.ScalarKind.F16,
    connectivity: options.connectivity,
    expansion_add: options.expansionAdd,
    expansion_search: options.expansionSearch,
    multi: false,
  });
}
type Graph = ReturnType<typeof createGraph>;

function overGraph(graph: Graph, rows: VectorRows, members: ArrayLike<number>): LocalIndex {
  const size = members.length;
  const propose = (query: Float32Array, count: number): Hit[] => {
    const { keys } = graph.search(query, count, 1);
    return Array.from(keys, (key) => Number(key)).map((row) => ({ row, score: rows.cosine(row, query) }));
  };
  return {
    size,
    dimension: rows.dimension,
    search(query, k, accept) {
      requireDimension(query, rows.dimension);
      const wanted = Math.min(k, size);
      if (wanted <= 0) return [];
      // A few more than wanted: float16 confuses neighbours at the edge, and a filter takes some away.
      let count = Math.min(size, wanted + Math.max(16, wanted >> 2));
      if (accept === undefined) {
        const hits = propose(query, count);
        return hits.length < wanted ? scan(rows, query, { k: wanted, members }) : hits.sort(byScore).slice(0, wanted);
      }
      for (;;) {
        const proposed = propose(query, count);
        const hits = proposed.filter(({ row }) => accept(row));
        if (hits.length >= wanted) return hits.sort(byScore).slice(0, wanted);
        // What share of the rows the filter lets through, by what it did to those nearest to the query.
        const share = (hits.length + 0.5) / (proposed.length + 1);
        const needed = Math.max(2 * count, Math.ceil((1.25 * wanted) / share));
        const narrow = needed * SCORES_PER_PROPOSAL > share * size;
        // The graph does not always reach every row; a scan does.
        if (narrow || 2 * needed > size || proposed.length < count) {
          return scan(rows, query, { k: wanted, members, accept });
        }
        count = needed;
      }
    },
  };
}

export interface UsearchIndex extends LocalIndex {
  /** Writes the graph to a file that {@link loadUsearch} reads; the rows are stored elsewhere. */
  save(path: string): void;
}

/**
 * Builds an index over `members` of the rows, step by step: each step adds a few rows and yields how many are in, so that
 * the caller decides how long the thread is held.
 */
export function* usearchBuilder(
  rows: VectorRows,
  members: ArrayLike<number>,
  options: HnswOptions & { threads: number } = { ...DEFAULT_HNSW, threads: 1 },
): Generator<number, UsearchIndex> {
  const graph = createGraph(rows.dimension, options);
  for (let from = 0; from < members.length; from += CHUNK) {
    const count = Math.min(CHUNK, members.length - from);
    const keys = new BigUint64Array(count);
    const vectors = new Float32Array(count * rows.dimension);
    for (let i = 0; i < count; i++) {
      const row = members[from + i]!;
      keys[i] = BigInt(row);
      vectors.set(rows.unit(row), i * rows.dimension);
    }
    graph.add(keys, vectors, options.threads);
    yield from + count;
  }
  return Object.assign(overGraph(graph, rows, members), { save: (path: string) => graph.save(path) });
}

/** Opens a saved graph over the same rows and members. Throws `bundle_damaged` when it holds another number of rows. */
export function loadUsearch(
  path: string,
  rows: VectorRows,
  members: ArrayLike<number>,
  options: HnswOptions = DEFAULT_HNSW,
): UsearchIndex {
  const graph = createGraph(rows.dimension, options);
  graph.load(path);
  if (graph.size() !== members.length || graph.dimensions() !== rows.dimension) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected ${members.length} vectors of ${rows.dimension}, got ${graph.size()} of ${graph.dimensions()}; build the generation again.`,
    );
  }
  return Object.assign(overGraph(graph, rows, members), { save: (file: string) => graph.save(file) });
}
