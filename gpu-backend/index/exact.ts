/** Exact search: scores every accepted row. The oracle of the approximate index, and its fallback for narrow filters. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { byScore, type Hit, type LocalIndex, requireDimension } from './ann-index.ts';
import type { VectorRows } from './vector-rows.ts';

/** Rows scored together. */
const BLOCK = 512;
/** Rows scored before others get a turn: about half a millisecond. */
const TURN = 8_192;

/** The `k` best of `members` (all rows when absent) that `accept` lets through, best first, ties by row. */
export function scan(
  rows: VectorRows,
  query: Float32Array,
  options: { k: number; members?: ArrayLike<number> | undefined; accept?: ((row: number) => boolean) | undefined },
): Hit[] {
  const { k, members, accept } = options;
  const count = members?.length ?? rows.count;
  // Kept unsorted to twice its size, then cut back: cheaper than a heap for the k of retrieval.
  let best: Hit[] = [];
  let floor = Number.NEGATIVE_INFINITY;
  const cut = () => {
    best = best.sort(byScore).slice(0, k);
    if (best.length === k) floor = best[k - 1]!.score;
  };
  if (k <= 0) return [];
  const block = new Int32Array(BLOCK);
  const scores = new Float64Array(BLOCK);
  const scored = rows.scorer(query);
  let filled = 0;
  const score = () => {
    if (filled === 0) return;
    scored(block, filled, scores);
    for (let i = 0; i < filled; i++) {
      if (scores[i]! < floor) continue;
      best.push({ row: block[i]!, score: scores[i]! });
      if (best.length >= 2 * k + 16) cut();
    }
    filled = 0;
  };
  for (let i = 0; i < count; i++) {
    const row = members === undefined ? i : members[i]!;
    if (accept !== undefined && !accept(row)) continue;
    block[filled++] = row;
    if (filled === BLOCK) score();
  }
  score();
  cut();
  return best;
}

/** {@link scan} over `members`, with others running in between. */
export async function scanInTurns(
  rows: VectorRows,
  query: Float32Array,
  { k, members }: { k: number; members: Uint32Array },
): Promise<Hit[]> {
  let best: Hit[] = [];
  for (let from = 0; from < members.length; from += TURN) {
    best = [...best, ...scan(rows, query, { k, members: members.subarray(from, from + TURN) })]
      .sort(byScore)
      .slice(0, k);
    await nextTurn();
  }
  return best;
}

/** Exact index over `members` of the rows, or all of them. */
export function exactIndex(rows: VectorRows, members?: ArrayLike<number>): LocalIndex {
  return {
    size: members?.length ?? rows.count,
    dimension: rows.dimension,
    search(query, k, accept) {
      requireDimension(query, rows.dimension);
      return scan(rows, query, { k, members, accept });
    },
  };
}
