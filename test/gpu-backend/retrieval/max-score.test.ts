import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BestSlots } from '../../../gpu-backend/retrieval/best-slots.ts';
import { Bm25 } from '../../../gpu-backend/retrieval/bm25.ts';
import { LexicalSegmentBuilder, PEAKS, readSegment } from '../../../gpu-backend/retrieval/lexical-segment.ts';
import { FIELDS } from '../../../gpu-backend/retrieval/lexical-terms.ts';
import { MaxScore } from '../../../gpu-backend/retrieval/max-score.ts';
import { hash32 } from '../../../shared/experiment.ts';

/** More rows than a window, and terms from one ad in two to one in some thousands; few lengths, so that many ads score alike. */
const ROWS = 20_000;
const TERMS = Array.from({ length: 10 }, (_, t) => `term${t}`);
const EVERY = [2, 3, 9, 30, 100, 300, 1_000, 2_000, 5_000, 100_000];

const builder = new LexicalSegmentBuilder();
for (let row = 0; row < ROWS; row++) {
  const drawn = hash32(`ad/${row}`);
  const counts = new Map<string, number>();
  for (const [t, term] of TERMS.entries()) {
    const own = hash32(`${term}/${row}`);
    // In the title or the keywords, once or twice.
    if (own % EVERY[t]! === 0) counts.set(term, (1 + ((own >>> 8) & 1)) << FIELDS[t % 2]!.shift);
  }
  builder.add({ id: `ad${drawn}-${row}`, counts, lengths: [2 + (drawn % 3), 4 + (drawn % 5), 9] });
}
const segment = readSegment(builder.image(), 'test');
const { docs, shapeOf, shapes, starts, fieldAds, peaks, idPlaces, lengthSums } = segment;
const bm25 = new Bm25({ shapes, ads: ROWS, lengthSums });
const maxScore = new MaxScore(segment);
const lists = TERMS.flatMap((term) => {
  const place = segment.find(term);
  if (place < 0) return [];
  const scores = bm25.scores((f) => fieldAds[3 * place + f]!);
  return { from: starts[place]!, to: starts[place + 1]!, scores, most: scores.most(peaks, place * PEAKS) };
});

type Lists = typeof lists;
const before = (a: number, b: number) => idPlaces[a]! < idPlaces[b]!;

/** All ads that the finding lists have, with what all lists say of them, best first. */
function readAll(asked: Lists, { finding, accept }: { finding: number; accept: (slot: number) => boolean }) {
  const sums = new Map<number, number>();
  for (const [t, { from, to, scores }] of asked.entries()) {
    for (let i = from; i < to; i++) {
      const slot = docs[i]!;
      if (t < finding || sums.has(slot)) sums.set(slot, (sums.get(slot) ?? 0) + scores.of(shapeOf[i]!));
    }
  }
  return [...sums]
    .map(([slot, score]) => ({ slot, score }))
    .filter(({ slot }) => accept(slot))
    .sort((a, b) => b.score - a.score || (before(a.slot, b.slot) ? -1 : 1));
}

describe('the best by MaxScore', () => {
  it('are those of reading every list to its end, to the last bit and in their order', () => {
    fc.assert(
      fc.property(
        fc.subarray(lists, { minLength: 1, maxLength: 5 }),
        fc.record({ finding: fc.integer({ min: 1, max: 5 }), limit: fc.constantFrom(1, 10, 100), out: fc.nat(4) }),
        (chosen, { finding, limit, out }) => {
          // Rarest first, as searches do, and the other way round: the order is the caller's.
          for (const asked of [chosen, chosen.toReversed()]) {
            const options = {
              finding: Math.min(finding, asked.length),
              accept: (slot: number) => out === 0 || slot % out !== 0,
            };
            const best = new BestSlots({ limit, before });
            maxScore.search(asked, { ...options, best });
            expect(best.drain()).toEqual(readAll(asked, options).slice(0, limit));
          }
        },
      ),
      { seed: 3, numRuns: 60 },
    );
  });

  it('are looked for in few of many postings', () => {
    let scored = 0;
    const counted = lists.map(({ scores, ...list }) => {
      const of = (shape: number) => {
        scored++;
        return scores.of(shape);
      };
      return { ...list, scores: Object.create(scores, { of: { value: of } }) as typeof scores };
    });
    const asked = [counted[4]!, counted[1]!, counted[0]!];
    const best = new BestSlots({ limit: 10, before });
    maxScore.search(asked, { finding: 3, best, accept: () => true });
    const searched = scored;
    const postings = asked.reduce((sum, { from, to }) => sum + to - from, 0);
    expect(best.drain()).toEqual(readAll(asked, { finding: 3, accept: () => true }).slice(0, 10));
    expect(searched).toBeLessThan(postings / 2);
  });

  it.each([
    [
      'to the last row of a window, where all rows have a term',
      new Map([
        [0, 1],
        [8_191, 2],
        [8_192, 3],
      ]),
      9_000,
    ],
    [
      'in their own list, though the next one in the file begins with the very row',
      new Map([
        [5_000, 1],
        [5_001, 2],
        [5_002, 1],
      ]),
      4_000,
    ],
  ])('are looked for %s', (_, rare, common) => {
    const builder = new LexicalSegmentBuilder();
    for (let row = 0; row < 9_000; row++) {
      const counts = new Map<string, number>(row < common ? [['common', 1]] : []);
      if (rare.has(row)) counts.set('rare', rare.get(row)!);
      builder.add({ id: `ad${row}`, counts, lengths: [5, 1, 9] });
    }
    const own = readSegment(builder.image(), 'test');
    const weighed = new Bm25({ shapes: own.shapes, ads: own.rows, lengthSums: own.lengthSums });
    const asked = ['rare', 'common'].map((term) => {
      const place = own.find(term);
      const scores = weighed.scores((f) => own.fieldAds[3 * place + f]!);
      return {
        from: own.starts[place]!,
        to: own.starts[place + 1]!,
        scores,
        most: scores.most(own.peaks, place * PEAKS),
      };
    });
    const scoreIn = ({ from, to, scores }: Lists[number], row: number) => {
      const at = own.docs.subarray(from, to).indexOf(row);
      return at < 0 ? 0 : scores.of(own.shapeOf[from + at]!);
    };
    const best = new BestSlots({ limit: 3, before: (a, b) => a < b });
    // What the common term alone says is not enough, so that it is looked into for what the rare one finds.
    for (const slot of [8_997, 8_998, 8_999]) best.add(slot, 1.01 * asked[1]!.most);
    new MaxScore(own).search(asked, { finding: 2, best, accept: () => true });
    const expected = [...rare.keys()].map((slot) => ({
      slot,
      score: scoreIn(asked[0]!, slot) + scoreIn(asked[1]!, slot),
    }));
    expect(best.drain()).toEqual(expected.sort((a, b) => b.score - a.score || a.slot - b.slot));
  });

  it('leave what was there: what is worse than it does not come in', () => {
    const best = new BestSlots({ limit: 1, before });
    best.add(7, 1_000);
    maxScore.search(lists, { finding: lists.length, best, accept: () => true });
    expect(best.drain()).toEqual([{ slot: 7, score: 1_000 }]);
  });
});

describe('the bound of a term', () => {
  it('is above each of its scores', () => {
    for (const { from, to, scores, most } of lists)
      for (let i = from; i < to; i++) expect(scores.of(shapeOf[i]!)).toBeLessThan(most);
  });
});
