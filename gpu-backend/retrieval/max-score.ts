/**
 * The best of many ads over inverted lists, without scoring most of them: MaxScore (Turtle and Flood, 1995). What an ad
 * can score at all by the lists that are left is bounded; where that is less than the worst of the best so far scores,
 * the lists are not read along but looked into for the ads that other lists found, and such ads are dropped. Slots are
 * taken in windows, whose sums the cache holds. The answer is that of reading all: sums are made in the order of the
 * lists, and only what is below the worst goes.
 */
import type { BestSlots } from './best-slots.ts';
import type { TermScores } from './bm25.ts';
import type { LexicalSegment } from './lexical-segment.ts';

const WINDOW = 1 << 13;

/** The postings of a term in a segment. */
export interface TermList {
  from: number;
  to: number;
  scores: TermScores;
  /** No posting scores more. */
  most: number;
}

export interface MaxScoreOptions {
  /** An ad is found by the first so many lists; the others only add to its score. */
  finding: number;
  best: BestSlots;
  /** Asked of those alone that would be among the best. */
  accept: (slot: number) => boolean;
}

/** The first place from `low` up to `high` whose row is `row` or above. */
export function firstFrom(docs: Int32Array, row: number, [low, high]: [number, number]): number {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (docs[middle]! < row) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class MaxScore {
  readonly #docs: Int32Array;
  readonly #shapeOf: LexicalSegment['shapeOf'];
  /** By place in the window; 0 where nothing is found. */
  readonly #sums = new Float64Array(WINDOW);
  readonly #found = new Int32Array(WINDOW);

  constructor({ docs, shapeOf }: Pick<LexicalSegment, 'docs' | 'shapeOf'>) {
    this.#docs = docs;
    this.#shapeOf = shapeOf;
  }

  /** Adds to `best` what scores most. */
  search(lists: readonly TermList[], { finding, best, accept }: MaxScoreOptions): void {
    const [docs, shapeOf, sums, found] = [this.#docs, this.#shapeOf, this.#sums, this.#found];
    // What a list and those behind it can add to a score.
    const left = new Float64Array(lists.length + 1);
    for (let t = lists.length - 1; t >= 0; t--) left[t] = left[t + 1]! + lists[t]!.most;
    // Where reading of a list continues; for lists that are looked into, its postings of the window.
    const at = Int32Array.from(lists, ({ from }) => from);
    const ends = Int32Array.from(lists, () => -1);
    let read = finding;
    let { floor } = best;
    for (;;) {
      while (read > 0 && left[read - 1]! < floor) read--;
      let base = Number.POSITIVE_INFINITY;
      for (let t = 0; t < read; t++) if (at[t]! < lists[t]!.to) base = Math.min(base, docs[at[t]!]!);
      if (base === Number.POSITIVE_INFINITY) return;
      const end = base + WINDOW;
      let count = 0;
      for (let t = 0; t < read; t++) {
        const { to, scores } = lists[t]!;
        const behind = left[t + 1]!;
        let i = at[t]!;
        for (; i < to; i++) {
          const place = docs[i]! - base;
          if (place >= WINDOW) break;
          const before = sums[place]!;
          const sum = before + scores.of(shapeOf[i]!);
          if (sum + behind < floor) continue;
          if (before === 0) found[count++] = place;
          sums[place] = sum;
        }
        at[t] = i;
      }
      for (let t = read; t < lists.length; t++) ends[t] = -1;
      for (let i = 0; i < count; i++) {
        const place = found[i]!;
        const slot = base + place;
        let score = sums[place]!;
        sums[place] = 0;
        for (let t = read; t < lists.length && score + left[t]! >= floor; t++) {
          const { to, scores } = lists[t]!;
          if (ends[t] === -1) {
            at[t] = firstFrom(docs, base, [at[t]!, to]);
            ends[t] = firstFrom(docs, end, [at[t]!, Math.min(to, at[t]! + WINDOW)]);
          }
          const here = firstFrom(docs, slot, [at[t]!, ends[t]!]);
          if (here < ends[t]! && docs[here] === slot) score += scores.of(shapeOf[here]!);
        }
        if (score < floor || !best.wants(slot, score) || !accept(slot)) continue;
        best.add(slot, score);
        floor = best.floor;
      }
    }
  }
}
