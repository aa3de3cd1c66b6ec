/**
 * Merges the retrievers' rankings by reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): an ad scores the sum of
 * 1 / (60 + rank) over the lists it is in. Ranks alone count, so scores of different scales never meet.
 */
import type { RetrieverName } from '../../shared/plan.ts';

const RRF_K = 60;

export interface Found {
  slot: number;
  score: number;
}

export interface Fused {
  slot: number;
  score: number;
  /** Where it was found; ranks are 1-based. */
  sources: { retriever: RetrieverName; rank: number; score: number }[];
}

/**
 * The union of the lists, best first; ties by `tieKey`. Lists come best first, one per retriever; their order does not
 * matter.
 */
export function fuse(
  lists: readonly { retriever: RetrieverName; found: readonly Found[] }[],
  tieKey: (slot: number) => string,
): Fused[] {
  const union = new Map<number, Fused>();
  // One order of adding: sums of three shares differ in their last bit by it.
  const ordered = [...lists].sort((a, b) => (a.retriever < b.retriever ? -1 : 1));
  for (const { retriever, found } of ordered) {
    for (const [i, { slot, score }] of found.entries()) {
      const entry = union.get(slot) ?? { slot, score: 0, sources: [] };
      entry.score += 1 / (RRF_K + i + 1);
      entry.sources.push({ retriever, rank: i + 1, score });
      union.set(slot, entry);
    }
  }
  return [...union.values()].sort((a, b) => b.score - a.score || (tieKey(a.slot) < tieKey(b.slot) ? -1 : 1));
}
