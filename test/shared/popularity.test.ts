import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Popularity } from '../../shared/popularity.ts';

it('never counts less than there was, and hardly more', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 500 }), { maxLength: 2_000 }), (names) => {
      const popularity = new Popularity({ width: 1 << 12, halveEvery: 10_000 });
      const counts = new Map<number, number>();
      for (const name of names) {
        popularity.record(`q-${name}`);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      let over = 0;
      for (const [name, count] of counts) {
        const estimate = popularity.estimate(`q-${name}`);
        expect(estimate).toBeGreaterThanOrEqual(Math.min(255, count));
        over += estimate - Math.min(255, count);
      }
      expect(over).toBeLessThanOrEqual(counts.size / 50 + 1);
    }),
    { numRuns: 30 },
  );
});

it('also where names share their counters: never less than there was, and rows and caution keep it close', () => {
  const popularity = new Popularity({ width: 128, halveEvery: 10_000 });
  const counts = Array.from({ length: 200 }, (_, i) => (i % 10) + 1);
  for (const [i, count] of counts.entries()) for (let k = 0; k < count; k++) popularity.record(`q-${i}`);
  const over = counts.map((count, i) => popularity.estimate(`q-${i}`) - count);
  expect(Math.min(...over)).toBe(0);
  // A single row counts 1,575 too many.
  expect(over.reduce((sum, each) => sum + each)).toBeLessThan(300);
});

it('forgets by halves, so that what was asked for long ago is no head query', () => {
  const popularity = new Popularity({ width: 1 << 10, halveEvery: 100 });
  for (let i = 0; i < 100; i++) popularity.record('once a star');
  expect(popularity.estimate('once a star')).toBe(50);
  for (let i = 0; i < 600; i++) popularity.record(`other ${i}`);
  expect(popularity.estimate('once a star')).toBeLessThan(5);
});

it('does not overflow', () => {
  const popularity = new Popularity({ width: 8, halveEvery: 10_000 });
  for (let i = 0; i < 1_000; i++) popularity.record('star');
  expect(popularity.estimate('star')).toBe(255);
});
