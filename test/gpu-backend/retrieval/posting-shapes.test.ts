import fc from 'fast-check';
import { expect, it } from 'vitest';
import { countIn, FIELDS } from '../../../gpu-backend/retrieval/lexical-terms.ts';
import { PostingShapes } from '../../../gpu-backend/retrieval/posting-shapes.ts';

const posting = fc.tuple(
  fc.integer({ min: 1, max: 65_535 }),
  fc.tuple(fc.integer({ min: 1, max: 70_000 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 3 })),
);

it('numbers what postings say, the same alike, and gives it back', () => {
  fc.assert(
    fc.property(fc.array(posting, { maxLength: 300 }), (postings) => {
      const shapes = new PostingShapes();
      const numbers = postings.map(([packed, lengths]) => shapes.of(packed, lengths));
      expect(postings.map(([packed, lengths]) => shapes.of(packed, lengths))).toEqual(numbers);
      expect(new Set(numbers).size).toBe(shapes.size);
      for (const [i, [packed, lengths]] of postings.entries()) {
        expect(shapes.counts[numbers[i]!]).toBe(packed);
        for (const [f, field] of FIELDS.entries()) {
          const said = countIn(packed, field) === 0 ? 0 : Math.min(65_535, lengths[f]!);
          expect(shapes.lengths[numbers[i]! * FIELDS.length + f]).toBe(said);
          expect(shapes.longest).toBeGreaterThanOrEqual(said);
        }
      }
      const again = PostingShapes.from(shapes.counts, shapes.lengths);
      expect([again.counts, again.lengths, again.longest]).toEqual([shapes.counts, shapes.lengths, shapes.longest]);
    }),
    { seed: 2, numRuns: 50 },
  );
});

it('does not tell postings apart by fields that lack the term', () => {
  const shapes = new PostingShapes();
  expect(shapes.of(1, [3, 8, 20])).toBe(shapes.of(1, [3, 9, 30]));
  expect(shapes.of(1, [3, 8, 20])).not.toBe(shapes.of(1, [4, 8, 20]));
  expect(shapes.of(1 << 4, [3, 8, 20])).not.toBe(shapes.of(1 << 4, [3, 9, 20]));
});
