/** The relevance map: the fit finds the weights behind the labels. */
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { fitCosineAdapter, fitRelevance } from '../../../training/evaluate/relevance.ts';

describe('fitRelevance', () => {
  it('finds the weights that made the labels', () => {
    const random = seeded('labels');
    const data = Array.from({ length: 20_000 }, () => {
      const pair = { cosine: random(), coverage: random(), bestCoverage: random() };
      const logit = 12 * pair.cosine + 3 * pair.coverage - 2 * pair.bestCoverage - 6;
      return { ...pair, relevant: random() < 1 / (1 + Math.exp(-logit)) };
    });
    const { cosine, coverage, bestCoverage, intercept } = fitRelevance(data);
    expect(Math.abs(cosine - 12)).toBeLessThan(0.8);
    expect(Math.abs(coverage - 3)).toBeLessThan(0.4);
    expect(Math.abs(bestCoverage + 2)).toBeLessThan(0.4);
    expect(Math.abs(intercept + 6)).toBeLessThan(0.5);
  });

  it('stays finite where one score parts the labels, and gives a feature that never varies no weight', () => {
    const data = [0.1, 0.2, 0.8, 0.9].map((cosine) => ({
      cosine,
      coverage: 0,
      bestCoverage: 0,
      relevant: cosine > 0.5,
    }));
    const { cosine, coverage, intercept } = fitRelevance(data);
    expect(cosine).toBeGreaterThan(0);
    expect(coverage).toBe(0);
    expect(Number.isFinite(intercept)).toBe(true);
  });
});

describe('fitCosineAdapter', () => {
  it('finds the weights that made the labels', () => {
    const random = seeded('labels of an adapter');
    const data = Array.from({ length: 20_000 }, () => {
      const pair = { cosine: random(), bestCosine: random(), meanCosine: random(), words: random() };
      const logit = 12 * pair.cosine - 6 * pair.bestCosine - 2 * pair.meanCosine - pair.words - 1;
      return { ...pair, relevant: random() < 1 / (1 + Math.exp(-logit)) };
    });
    const weights = fitCosineAdapter(data);
    for (const [name, made] of Object.entries({ bestCosine: -6, meanCosine: -2, words: -1, intercept: -1 }))
      expect(Math.abs(weights[name as keyof typeof weights] - made), name).toBeLessThan(0.5);
    expect(Math.abs(weights.cosine - 12)).toBeLessThan(0.8);
  });
});
