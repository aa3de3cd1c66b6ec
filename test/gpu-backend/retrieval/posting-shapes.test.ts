import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Bm25 } from '../../../gpu-backend/retrieval/bm25.ts';
import { LexicalSegmentBuilder, readSegment } from '../../../gpu-backend/retrieval/lexical-segment.ts';
import { countIn, FIELDS } from '../../../gpu-backend/retrieval/lexical-terms.ts';
import { PostingShapes } from '../../../gpu-backend/retrieval/posting-shapes.ts';

const length = fc.integer({ min: 1, max: 40 });
const posting = fc.tuple(
  fc.integer({ min: 1, max: 65_535 }),
  fc.tuple(fc.oneof(length, fc.integer({ min: 1, max: 70_000 })), length, length),
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

it('are of any number: each posting is scored by its own, and none is taken for another', () => {
  // Two counts and some 35,000 lengths of the title: more shapes than 16 bits number, and far more than scores are kept of.
  const said = Array.from({ length: 70_000 }, (_, row) => ({ count: 1 + (row % 2), length: 2 + (row >> 1) }));
  const builder = new LexicalSegmentBuilder();
  for (const [row, { count, length }] of said.entries())
    builder.add({ id: `ad-${row}`, counts: new Map([['sofa', count]]), lengths: [length, 3, 9] });
  const { docs, shapeOf, shapes, lengthSums } = readSegment(builder.image(), 'test');
  expect(shapes.size).toBe(said.length);
  const bm25 = new Bm25({ shapes, ads: said.length, lengthSums });
  const scores = bm25.scores((f) => (f === 0 ? said.length : 0));
  const [worth, mean] = [2 * Math.log(1 + 0.5 / (said.length + 0.5)), lengthSums[0]! / said.length];
  for (let turn = 0; turn < 2; turn++)
    for (const [i, row] of docs.entries()) {
      const { count, length } = said[row]!;
      const expected = worth * (0.5 + (count * 2.2) / (count + 1.2 * (0.3 + (0.7 * length) / mean)));
      if (!(Math.abs(scores.of(shapeOf[i]!) / expected - 1) < 1e-12)) expect.fail(`row ${row}: expected ${expected}`);
    }
});

it('does not tell postings apart by fields that lack the term', () => {
  const shapes = new PostingShapes();
  expect(shapes.of(1, [3, 8, 20])).toBe(shapes.of(1, [3, 9, 30]));
  expect(shapes.of(1, [3, 8, 20])).not.toBe(shapes.of(1, [4, 8, 20]));
  expect(shapes.of(1 << 4, [3, 8, 20])).not.toBe(shapes.of(1 << 4, [3, 9, 20]));
});
