import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { relevanceOf } from '../../shared/relevance.ts';

describe('relevanceOf', () => {
  it('is the logistic function of the weighted evidence', () => {
    const map = { cosine: 12, coverage: 2, bestCoverage: -1, intercept: -6 };
    expect(relevanceOf({ cosine: 0.5, coverage: 0, bestCoverage: 0 }, map)).toBe(0.5);
    expect(relevanceOf({ cosine: 1, coverage: 0, bestCoverage: 0 }, map)).toBeCloseTo(0.9975273768, 9);
    expect(relevanceOf({ cosine: 0.5, coverage: 1, bestCoverage: 1 }, map)).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
  });

  it('grows with cosine and coverage where their weights are positive, and stays a probability', () => {
    const unit = fc.double({ min: 0, max: 1, noNaN: true });
    const evidence = fc.record({ cosine: fc.double({ min: -1, max: 1, noNaN: true }), coverage: unit });
    const map = fc.record({
      cosine: fc.double({ min: 0.1, max: 100, noNaN: true }),
      coverage: fc.double({ min: 0, max: 20, noNaN: true }),
      bestCoverage: fc.double({ min: -20, max: 20, noNaN: true }),
      intercept: fc.double({ min: -100, max: 100, noNaN: true }),
    });
    fc.assert(
      fc.property(evidence, evidence, unit, map, (a, b, bestCoverage, weights) => {
        const of = (pick: (x: number, y: number) => number) => ({
          cosine: pick(a.cosine, b.cosine),
          coverage: pick(a.coverage, b.coverage),
          bestCoverage,
        });
        const [less, more] = [relevanceOf(of(Math.min), weights), relevanceOf(of(Math.max), weights)];
        expect(less >= 0 && less <= more && more <= 1).toBe(true);
      }),
      { seed: 10, numRuns: 300 },
    );
  });
});
