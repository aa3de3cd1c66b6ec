import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../marketplace/random.ts';
import { drawExtra, parseEffect, thinning } from '../../marketplace/true-effect.ts';

describe('a true effect', () => {
  it('is split into what people do: more searches, clicks a search, purchases a click', () => {
    expect(parseEffect(['revenue=+1%'], 'b')).toEqual({ arm: 'b', searches: 1, clicks: 1.01, conversions: 1 });
    const both = parseEffect(['queries=+10%', 'conversions=-5%'], 'b');
    expect(both.searches).toBeCloseTo(1.1, 12);
    // Clicks follow queries, so that a search has as many as before.
    expect(both.clicks).toBeCloseTo(1, 12);
    expect(both.searches * both.clicks * both.conversions).toBeCloseTo(0.95, 12);
  });

  it('is exact in ratio, with chances of at most 1', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 10, noNaN: true }), (ratio) => {
        const [own, others] = [thinning(ratio, true), thinning(ratio, false)];
        expect(own / others).toBeCloseTo(ratio, 9);
        expect(Math.max(own, others)).toBe(1);
      }),
      { seed: 1 },
    );
  });

  it.each([0.5, 0.9, 1, 1.3, 2.5])('repeats searches so that their ratio is %d', (ratio) => {
    const random = createRandom(1, 'extra');
    const mean = (differs: boolean) => {
      let sum = 0;
      for (let i = 0; i < 20_000; i++) sum += 1 + drawExtra(ratio, differs, random);
      return sum / 20_000;
    };
    expect(mean(true) / mean(false) / ratio).toBeGreaterThan(0.98);
    expect(mean(true) / mean(false) / ratio).toBeLessThan(1.02);
  });

  it.each([['revenue'], ['revenue=1'], ['price=+1%'], ['clicks=-100%'], ['clicks=+1%', 'revenue=+2%']])(
    'says what it expected: %s',
    (...changes) => {
      expect(() => parseEffect(changes, 'b')).toThrow(/^--effect: /);
    },
  );
});
