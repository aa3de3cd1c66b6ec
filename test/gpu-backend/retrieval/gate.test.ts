import { describe, expect, it } from 'vitest';
import { GATE, gateEvidence, gateProbability } from '../../../gpu-backend/retrieval/gate.ts';

describe('the gate', () => {
  it('reads of what was found how much of the query it has, and how often', () => {
    expect(gateEvidence([], 3)).toEqual({ bestCoverage: 0, whole: 0, words: 0.375 });
    expect(gateEvidence([1, 0.95, 0.94, 0.2], 2)).toEqual({ bestCoverage: 1, whole: 0.2, words: 0.25 });
    expect(gateEvidence(new Array(40).fill(1), 20)).toEqual({ bestCoverage: 1, whole: 1, words: 1 });
  });

  it('expects the more of vectors the less words have found', () => {
    const found = [[], [0.3], [1], new Array(5).fill(1), new Array(10).fill(1)];
    const expected = found.map((coverages) => gateProbability(gateEvidence(coverages, 2)));
    expect(expected).toEqual(expected.toSorted((a, b) => b - a));
    expect(new Set(expected).size).toBe(expected.length);
    expect(
      gateProbability({ bestCoverage: 1, whole: 1, words: 0 }, { ...GATE, intercept: 0, bestCoverage: 0, whole: 0 }),
    ).toBe(0.5);
    const nothing = { bestCoverage: 0, whole: 0, words: 0 };
    expect(gateProbability(nothing, { ...GATE, intercept: 1 })).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
  });
});
