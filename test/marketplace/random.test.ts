import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../marketplace/random.ts';

const draws = (seed: number, label: string, count = 8) => {
  const random = createRandom(seed, label);
  return Array.from({ length: count }, () => random.next());
};

describe('createRandom', () => {
  it('repeats itself for the same seed and label, and for no other', () => {
    expect(draws(1, 'ads')).toEqual(draws(1, 'ads'));
    expect(draws(1, 'ads')).not.toEqual(draws(2, 'ads'));
    expect(draws(1, 'ads')).not.toEqual(draws(1, 'queries'));
  });

  it('gives a fork that does not depend on how much its parent drew', () => {
    const parent = createRandom(1, 'p');
    const early = parent.fork('child').next();
    parent.next();
    expect(parent.fork('child').next()).toBe(early);
  });

  it('keeps to its ranges', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 1_000 }), (seed, bound) => {
        const random = createRandom(seed, 'range');
        for (let i = 0; i < 20; i++) {
          expect(random.next()).toBeGreaterThanOrEqual(0);
          expect(random.next()).toBeLessThan(1);
          expect(random.int(bound)).toBeLessThan(bound);
          expect(random.logNormal(1, 0.5)).toBeGreaterThan(0);
        }
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it('samples distinct items, all of them when asked for more', () => {
    const items = [1, 2, 3, 4, 5];
    const random = createRandom(3, 'sample');
    expect(new Set(random.sample(items, 3)).size).toBe(3);
    expect(random.sample(items, 9).sort()).toEqual(items);
    expect(items).toEqual([1, 2, 3, 4, 5]);
  });

  it('draws by weight', () => {
    const random = createRandom(4, 'weights');
    const heavy = Array.from({ length: 4_000 }, () => random.weighted([1, 3], (weight) => weight)).filter(
      (x) => x === 3,
    );
    expect(heavy.length / 4_000).toBeCloseTo(0.75, 1);
  });

  it('has normal deviates of mean 0 and variance 1', () => {
    const random = createRandom(5, 'normal');
    const values = Array.from({ length: 20_000 }, () => random.normal());
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(variance).toBeCloseTo(1, 1);
  });

  it('says so when there is nothing to pick', () => {
    expect(() => createRandom(1, 'x').pick([])).toThrow(/expected at least one item/);
  });
});
