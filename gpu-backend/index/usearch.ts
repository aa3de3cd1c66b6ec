/**
 * Approximate search with usearch (HNSW: Malkov and Yashunin, 2018), int8 inside. The graph proposes rows, the exact
 * rows score them, so every adapter gives the same score for the same row. usearch has no filter: the filter is applied
 * to more hits than asked for, in growing steps, and where that is not enough the accepted rows are scanned exactly.
 *
 * int8 halves what a search reads of memory, against float16. usearch rounds to a fixed scale, which is coarse where a unit
 * vector has hundreds of components: its own order of the ten best is wrong for one in ten. Nearly all of them are among
 * what it looked at, though, and that is what is scored again.
 */
import { availableParallelism } from 'node:os';
import usearch, { type BatchMatches, type Matches } from 'usearch';
import { HarnessError } from '../../shared/problem.ts';
import { byScore, type Hit, type LocalIndex, requireDimension } from './ann-index.ts';
import { scan } from './exact.ts';
import type { VectorRows } from './vector-rows.ts';

/** Graph degree, candidate list lengths and what the graph keeps of a vector; recall against time and memory. */
export interface HnswOptions {
  connectivity: number;
  expansionAdd: number;
  expansionSearch: number;
  quantization: 'i8' | 'bf16' | 'f16' | 'f32';
}
export const DEFAULT_HNSW: HnswOptions = {
  connectivity: 16,
  expansionAdd: 128,
  expansionSearch: 64,
  quantization: 'i8',
};

/** A row proposed by the graph costs about as much as this many rows scored exactly (measured at 384 dimensions). */
const SCORES_PER_PROPOSAL = 16;

/** Rows added a call: usearch holds the thread while it adds. */
const CHUNK = 64;

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
    expansion_search: options.expansionSearch,
    multi: false,
  });
}
type Graph = ReturnType<typeof createGraph>;

interface OverGraph {
  graph: Graph;
  rows: VectorRows;
  /** Rows that are in the graph; may grow. */
  members: ArrayLike<number>;
  expansionSearch: number;
  /** Native threads that may search at a time: as many as usearch made room for. */
  most: number;
}

function overGraph({ graph, rows, members, expansionSearch, most }: OverGraph): UsearchIndex {
  /**
   * How many to score again for `wanted`. The graph has looked at `expansionSearch` rows anyway; a few more than wanted at
   * least, because its own scores confuse neighbours at the edge.
   */
  const atFirst = (wanted: number) =>
    Math.min(members.length, Math.max(expansionSearch, wanted + Math.max(16, wanted >> 2)));
  /** The best `wanted` of what was proposed, best first; fewer where the filter leaves fewer. */
  const scored = (
    keys: BigUint64Array,
    query: Float32Array,
    { wanted, accept }: { wanted: number; accept?: ((row: number) => boolean) | undefined },
  ): Hit[] => {
    // The low half of each key is the row; whole keys would be an object each.
    const halves = new Uint32Array(keys.buffer, keys.byteOffset, 2 * keys.length);
    const accepted: number[] = [];
    for (let i = 0; i < halves.length; i += 2) {
      if (accept === undefined || accept(halves[i]!)) accepted.push(halves[i]!);
    }
    const scores = rows.cosines(accepted, query);
    const floor = scores.length > wanted ? scores.toSorted()[scores.length - wanted]! : Number.NEGATIVE_INFINITY;
    const hits: Hit[] = [];
    for (let i = 0; i < accepted.length; i++) {
      if (scores[i]! >= floor) hits.push({ row: accepted[i]!, score: scores[i]! });
    }
    return hits.sort(byScore).slice(0, wanted);
  };
  return {
    get size() {
      return members.length;
    },
    dimension: rows.dimension,
    save: (path) => graph.save(path),
    search(query, k, accept) {
      requireDimension(query, rows.dimension);
      const size = members.length;
      const wanted = Math.min(k, size);
      if (wanted <= 0) return [];
      for (let count = atFirst(wanted); ; ) {
        const { keys } = graph.search(query, count, 1);
        const hits = scored(keys, query, { wanted, accept });
        if (hits.length >= wanted) return hits;
        // What share of the rows the filter lets through, by what it did to those nearest to the query.
        const passed = (hits.length + 0.5) / (keys.length + 1);
        const needed = Math.max(2 * count, Math.ceil((1.25 * wanted) / passed));
        const narrow = needed * SCORES_PER_PROPOSAL > passed * size;
        // The graph does not always reach every row; a scan does.
        if (accept === undefined || narrow || 2 * needed > size || keys.length < count) {
          return scan(rows, query, { k: wanted, members, accept });
        }
        count = needed;
      }
    },
    searchBatch(queries, k, threads) {
      const wanted = Math.min(k, members.length);
      if (wanted <= 0 || queries.length === 0) return queries.map(() => []);
      const count = atFirst(wanted);
      const matrix = new Float32Array(queries.length * rows.dimension);
      for (const [i, query] of queries.entries()) {
        requireDimension(query, rows.dimension);
        matrix.set(query, i * rows.dimension);
      }
      const answer = graph.search(matrix, count, Math.min(threads, most)) as Matches | BatchMatches;
      const { keys } = answer;
      return queries.map((query, i) => {
        // usearch answers a single query in another shape.
        const found = answer instanceof usearch.BatchMatches ? Number(answer.counts[i]) : keys.length;
        if (found < wanted) return scan(rows, query, { k: wanted, members });
        return scored(keys.subarray(i * count, i * count + found), query, { wanted });
      });
    },
  };
}

export interface UsearchIndex extends LocalIndex {
  /** Writes the graph to a file that {@link loadUsearch} reads; the rows are stored elsewhere. */
  save(path: string): void;
  /** Answers many queries as `search` does one, on up to so many native threads as built the graph; holds the calling thread meanwhile. */
  searchBatch(queries: readonly Float32Array[], k: number, threads: number): Hit[][];
}

/** Adds rows in one native call, which holds the thread. */
function addRows(graph: Graph, rows: VectorRows, { members, threads }: { members: number[]; threads: number }): void {
  const vectors = new Float32Array(members.length * rows.dimension);
  for (const [i, row] of members.entries()) vectors.set(rows.unit(row), i * rows.dimension);
  graph.add(BigUint64Array.from(members, BigInt), vectors, threads);
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
  const { threads, expansionSearch } = options;
  for (let from = 0; from < members.length; from += CHUNK) {
    const count = Math.min(CHUNK, members.length - from);
    addRows(graph, rows, { members: Array.from({ length: count }, (_, i) => members[from + i]!), threads });
    yield from + count;
  }
  return overGraph({ graph, rows, members, expansionSearch, most: threads || availableParallelism() });
}

/** An index that rows join one by one; each `add` holds the thread for a little more than a search. */
export function growingUsearch(
  rows: VectorRows,
  options: HnswOptions = DEFAULT_HNSW,
): LocalIndex & { add(row: number): void } {
  const members: number[] = [];
  const graph = createGraph(rows.dimension, options);
  const index = overGraph({ graph, rows, members, expansionSearch: options.expansionSearch, most: 1 });
  return Object.assign(index, {
    add(row: number) {
      addRows(graph, rows, { members: [row], threads: 1 });
      members.push(row);
    },
  });
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
  return overGraph({ graph, rows, members, expansionSearch: options.expansionSearch, most: availableParallelism() });
}
