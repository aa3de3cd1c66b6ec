/** Ranking metrics on rankings whose values are worked by hand, and properties that hold for all. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { measure, ndcgAt, precisionAt, recallAt, reciprocalRank } from '../../../training/evaluate/metrics.ts';

const judgements = new Map([
  ['a', 3],
  ['b', 2],
  ['c', 1],
]);

describe('metrics', () => {
  it('count grades of 2 and 3 as relevant', () => {
    expect(precisionAt(4, ['c', 'a', 'x', 'b'], judgements)).toBe(0.5);
    expect(reciprocalRank(['c', 'x', 'b'], judgements)).toBeCloseTo(1 / 3);
    expect(reciprocalRank(['c', 'x'], judgements)).toBe(0);
    expect(recallAt(2, ['b', 'x', 'a'], judgements)).toBe(0.5);
  });

  it('divide precision by k even where the ranking is shorter', () => {
    expect(precisionAt(10, ['a'], judgements)).toBe(0.1);
    expect(measure(['x', 'a', ...Array.from({ length: 9 }, (_, i) => `y${i}`), 'b'], judgements)).toMatchObject({
      p10: 0.1,
      p100: 0.02,
      recall100: 1,
    });
  });

  it('discount gains of 2^grade - 1 by the logarithm of the rank', () => {
    const dcg = 1 / Math.log2(2) + 7 / Math.log2(3);
    const ideal = 7 / Math.log2(2) + 3 / Math.log2(3);
    expect(ndcgAt(2, ['c', 'a'], judgements)).toBeCloseTo(dcg / ideal, 12);
  });

  it('lie between 0 and 1, and are 1 for the ideal ranking of enough relevant documents', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 }),
        fc.integer(),
        (grades, turn) => {
          const judged = new Map(grades.map((grade, i) => [`d${i}`, grade]));
          const ids = [...judged.keys()];
          const ranking = ids.map((_, i) => ids[(i + Math.abs(turn)) % ids.length]!);
          for (const value of Object.values(measure(ranking, judged))) {
            expect(value).toBeGreaterThanOrEqual(0);
            expect(value).toBeLessThanOrEqual(1 + 1e-12);
          }
          const ideal = ids.toSorted((a, b) => judged.get(b)! - judged.get(a)!);
          if (grades.some((grade) => grade >= 2)) {
            expect(ndcgAt(10, ideal, judged)).toBeCloseTo(1, 12);
            expect(reciprocalRank(ideal, judged)).toBe(1);
          }
        },
      ),
    );
  });
});
