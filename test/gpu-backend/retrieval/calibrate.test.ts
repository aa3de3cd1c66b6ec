import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { relevanceOfCosine } from '../../../gpu-backend/retrieval/calibrate.ts';

describe('relevanceOfCosine', () => {
  it('is the logistic function of slope x cosine + intercept', () => {
    expect(relevanceOfCosine(0.5, { slope: 12, intercept: -6 })).toBe(0.5);
    expect(relevanceOfCosine(1, { slope: 12, intercept: -6 })).toBeCloseTo(0.9975273768, 9);
  });

  it('grows with the cosine and stays a probability', () => {
    const cosine = fc.double({ min: -1, max: 1, noNaN: true });
    const calibration = fc.record({
      slope: fc.double({ min: 0.1, max: 100, noNaN: true }),
      intercept: fc.double({ min: -100, max: 100, noNaN: true }),
    });
    fc.assert(
      fc.property(cosine, cosine, calibration, (a, b, map) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)].map((value) => relevanceOfCosine(value, map));
        expect(low! >= 0 && low! <= high! && high! <= 1).toBe(true);
      }),
      { seed: 10, numRuns: 300 },
    );
  });
});
