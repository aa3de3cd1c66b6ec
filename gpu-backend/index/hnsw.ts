/**
 * Approximate search in an HNSW graph (Malkov and Yashunin, 2018), which usearch builds (usearch.ts) and this file walks: over
 * the very rows that a generation holds, so that every score is the row's cosine and nothing is scored twice.
 *
 * The walk is our own because of memory: usearch goes to each neighbour by way of three pointers, one neighbour after the
 * other, while here all neighbours of a node are scored in one call that asks memory for them together (dots.wat).
 */
import { byScore, type Hit, type LocalIndex, requireDimension } from './ann-index.ts';
import { scan } from './exact.ts';
import type { HnswGraph } from './hnsw-graph.ts';
import type { Scorer, VectorRows } from './vector-rows.ts';

/** Length of the list of candidates where nobody says; enough for about 100,000 rows. */
export const EXPANSION_SEARCH = 64;

/** A row that a graph proposes costs about as much as this many rows scored in order (measured at 384 dimensions). */
const SCORES_PER_PROPOSAL = 32;

/** Candidates whose neighbours are scored together. */
const BEAM = 4;

/**
 * Candidates for each that is kept above level 0. With one alone there, as in the paper, some queries of a large index
 * end in a wrong region and find none of their best, which no reasonable list at level 0 makes up for.
 */
const DESCENT = 8;

/** What comes before a filter: the best `count` of the members or somewhat fewer, in any order. */
export type Propose = (query: Float32Array, count: number) => Hit[];

/**
 * An index of what is proposed. Filters apply to more hits than asked for, in growing steps, and where that is not enough
 * the accepted rows are scanned.
 */
export function proposedIndex(
  propose: Propose,
  {
    rows,
    members,
    expansionSearch = EXPANSION_SEARCH,
  }: { rows: VectorRows; members: ArrayLike<number>; expansionSearch?: number | undefined },
): LocalIndex & { expansionSearch: number } {
  const index: LocalIndex & { expansionSearch: number } = {
    expansionSearch,
    get size() {
      return members.length;
    },
    dimension: rows.dimension,
    search(query, k, accept) {
      requireDimension(query, rows.dimension);
      const size = members.length;
      const wanted = Math.min(k, size);
      if (wanted <= 0) return [];
      for (let count = Math.min(size, Math.max(index.expansionSearch, wanted + Math.max(16, wanted >> 2))); ; ) {
        const proposed = propose(query, count);
        const hits = accept === undefined ? proposed : proposed.filter(({ row }) => accept(row));
        if (hits.length >= wanted) return hits.sort(byScore).slice(0, wanted);
        // What share of the rows the filter lets through, by what it did to those nearest to the query.
        const passed = (hits.length + 0.5) / (proposed.length + 1);
        const needed = Math.max(2 * count, Math.ceil((1.25 * wanted) / passed));
        const narrow = needed * SCORES_PER_PROPOSAL > passed * size;
        // The graph does not always reach every row; a scan does.
        if (accept === undefined || narrow || 2 * needed > size || proposed.length < count) {
          return scan(rows, query, { k: wanted, members, accept });
        }
        count = needed;
      }
    },
  };
  return index;
}

/**
 * Proposes by best-first search, from `graph.entry` as it is by then, level after level: `count` candidates are kept at level 0
 * and a {@link DESCENT}th of them above, and the best whose neighbours are unseen come next. Best first; nodes are
 * `members`, or rows where there are none.
 */
export function walker(
  graph: HnswGraph,
  { rows, members }: { rows: VectorRows; members?: ArrayLike<number> },
): Propose {
  const { size, top, links, degree, above, upper, upperDegree } = graph;
  const [width, upperWidth] = [1 + degree, 1 + upperDegree];
  // Where all rows are members, a member's place is its row: one read less that misses the cache.
  const rowOf =
    members === undefined || members.length === rows.count ? (node: number) => node : (node: number) => members[node]!;
  // Nodes that this search has seen, a bit each, which the cache holds; and in order, to forget them again.
  const seen = new Int32Array((size + 31) >> 5);
  const met = new Int32Array(size);
  const [nodes, asked] = [new Int32Array(BEAM * width), new Int32Array(BEAM * width)];
  const scores = new Float64Array(BEAM * width);
  const [lists, ends] = [new Int32Array(BEAM), new Int32Array(BEAM)];
  // Candidates, best first; one whose neighbours have been seen is ~node.
  let [places, values] = [new Int32Array(0), new Float64Array(0)];

  /** The best `count` that are reached in a level from the first `kept` candidates; answers how many. */
  const walk = (level: number, score: Scorer, { count, from }: { count: number; from: number }): number => {
    const table = level === 0 ? links : upper;
    let kept = from;
    let many = 0;
    for (; many < kept; many++) {
      const node = places[many]! < 0 ? ~places[many]! : places[many]!;
      places[many] = node;
      seen[node >> 5]! |= 1 << node;
      met[many] = node;
    }
    for (let next = 0; next < kept; ) {
      // The best few whose neighbours are unseen, together: memory is asked for all of them at once.
      let opened = 0;
      for (let i = next; i < kept && opened < BEAM; i++) {
        const node = places[i]!;
        if (node >= 0) {
          const at = level === 0 ? node * width : (above[node]! + level - 1) * upperWidth;
          lists[opened] = at;
          ends[opened] = at + table[at]!;
          places[i] = ~node;
          opened++;
        } else if (i === next) next++;
      }
      let fresh = 0;
      for (let i = 0; i < opened; i++) {
        const end = ends[i]!;
        for (let j = lists[i]! + 1; j <= end; j++) {
          const neighbour = table[j]!;
          const [word, bit] = [neighbour >> 5, 1 << neighbour];
          if ((seen[word]! & bit) !== 0) continue;
          seen[word]! |= bit;
          met[many++] = neighbour;
          nodes[fresh] = neighbour;
          asked[fresh++] = rowOf(neighbour);
        }
      }
      if (fresh === 0) continue;
      score(asked, fresh, scores);
      for (let i = 0; i < fresh; i++) {
        const value = scores[i]!;
        if (kept === count && value <= values[count - 1]!) continue;
        let to = kept < count ? kept++ : count - 1;
        for (; to > 0 && values[to - 1]! < value; to--) {
          values[to] = values[to - 1]!;
          places[to] = places[to - 1]!;
        }
        values[to] = value;
        places[to] = nodes[i]!;
        if (to < next) next = to;
      }
    }
    for (let i = 0; i < many; i++) seen[met[i]! >> 5] = 0;
    return kept;
  };

  return (query, count) => {
    if (places.length < count) [places, values] = [new Int32Array(count), new Float64Array(count)];
    const score = rows.scorer(query);
    places[0] = graph.entry;
    asked[0] = rowOf(graph.entry);
    score(asked, 1, scores);
    values[0] = scores[0]!;
    let kept = 1;
    for (let level = top; level > 0; level--)
      kept = walk(level, score, { count: Math.ceil(count / DESCENT), from: kept });
    kept = walk(0, score, { count, from: kept });
    const hits: Hit[] = [];
    for (let i = 0; i < kept; i++) hits.push({ row: rowOf(~places[i]!), score: values[i]! });
    return hits;
  };
}

/** An index over `members` of the rows: node i of the graph is member i. Throws RangeError when their numbers differ. */
export function hnswIndex(
  graph: HnswGraph,
  options: { rows: VectorRows; members: ArrayLike<number>; expansionSearch?: number | undefined },
): LocalIndex & { expansionSearch: number } {
  const { members } = options;
  if (graph.size !== members.length)
    throw new RangeError(`expected a graph of ${members.length} rows, got ${graph.size}`);
  return proposedIndex(walker(graph, options), options);
}
