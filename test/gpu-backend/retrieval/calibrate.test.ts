import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { relevanceOf } from '../../../gpu-backend/retrieval/calibrate.ts';

describe('relevanceOf', () => {
  it('is the logistic function of slope x cosine + weight x coverage + intercept', () => {
    const map = { slope: 12, intercept: -6, coverage: 2 };
    expect(relevanceOf({ cosine: 0.5, coverage: 0 }, map)).toBe(0.5);
    expect(relevanceOf({ cosine: 1, coverage: 0 }, map)).toBeCloseTo(0.9975273768, 9);
    expect(relevanceOf({ cosine: 0.5, coverage: 1 }, map)).toBeCloseTo(1 / (1 + Math.exp(-2)), 12);
  });

  it('grows with the cosine and the coverage, and stays a probability', () => {
    const evidence = fc.record({
      cosine: fc.double({ min: -1, max: 1, noNaN: true }),
      coverage: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const calibration = fc.record({
      slope: fc.double({ min: 0.1, max: 100, noNaN: true }),
      intercept: fc.double({ min: -100, max: 100, noNaN: true }),
      coverage: fc.double({ min: 0, max: 20, noNaN: true }),
    });
    fc.assert(
      fc.property(evidence, evidence, calibration, (a, b, map) => {
        const low = { cosine: Math.min(a.cosine, b.cosine), coverage: Math.min(a.coverage, b.coverage) };
        const high = { cosine: Math.max(a.cosine, b.cosine), coverage: Math.max(a.coverage, b.coverage) };
        const [less, more] = [relevanceOf(low, map), relevanceOf(high, map)];
        expect(less >= 0 && less <= more && more <= 1).toBe(true);
      }),
      { seed: 10, numRuns: 300 },
    );
  });
});
