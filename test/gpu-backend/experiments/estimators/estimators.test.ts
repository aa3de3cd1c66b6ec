import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ratioOfSums } from '../../../../gpu-backend/experiments/estimators/delta.ts';
import { scaled } from '../../../../gpu-backend/experiments/estimators/estimate.ts';
import { meanPerUnit } from '../../../../gpu-backend/experiments/estimators/mean.ts';
import { compare } from '../../../../gpu-backend/experiments/estimators/welch.ts';
import { uniforms } from '../../../fixtures/random.ts';
import { expectClose, golden, meanSums, ratioSums } from '../golden.ts';

describe('reference vectors', () => {
  it.each(golden.welch.map((vector, i) => ({ i, ...vector })))('Welch, case $i', ({ control, treatment, effect }) => {
    const found = compare(meanPerUnit(meanSums(control)), meanPerUnit(meanSums(treatment)), 0.95)!;
    expectClose(found.absolute, effect.absolute, 'absolute');
    expectClose(found.pValue, effect.pValue, 'p-value');
    if (effect.relative === null) expect(found).toMatchObject({ relative: null, relativeInterval: null });
    else expectClose(found.relative, effect.relative, 'relative');
    for (const side of [0, 1]) {
      expectClose(found.interval[side], effect.interval[side]!, 'interval');
      if (effect.relativeInterval)
        expectClose(found.relativeInterval![side], effect.relativeInterval[side]!, 'relative');
    }
    expect(found.significant).toBe(effect.interval[0]! > 0 || effect.interval[1]! < 0);
  });

  it.each(golden.ratio.map((vector, i) => ({ i, ...vector })))('ratio by the delta method, case $i', (vector) => {
    const found = ratioOfSums(ratioSums(vector.y, vector.x))!;
    expectClose(found.value, vector.value);
    expectClose(Math.sqrt(found.variance!), vector.standardError);
  });
});

describe('estimates', () => {
  it('a mean is a ratio whose denominator is one a unit', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000_000_000 }), { minLength: 2, maxLength: 30 }), (values) => {
        const mean = meanPerUnit(meanSums(values))!;
        const ratio = ratioOfSums(
          ratioSums(
            values,
            values.map(() => 1),
          ),
        )!;
        expectClose(ratio.value, mean.value);
        expectClose(ratio.variance, mean.variance!);
      }),
      { seed: 1 },
    );
  });

  it('keep a small spread on top of a huge mean, which sums of doubles would lose', () => {
    const values = [0, 1, 2, 3].map((v) => v + 9e14);
    expectClose(meanPerUnit(meanSums(values))!.variance, 5 / 3 / 4);
  });

  it('are undefined where there is nothing to estimate from', () => {
    expect(meanPerUnit(meanSums([]))).toBeUndefined();
    expect(ratioOfSums(ratioSums([0, 0], [0, 0]))).toBeUndefined();
    expect(meanPerUnit(meanSums([7]))).toEqual({ value: 7, variance: undefined, units: 1 });
    expect(ratioOfSums(ratioSums([7], [2]))).toEqual({ value: 3.5, variance: undefined, units: 1 });
  });

  it('scale with their standard errors', () => {
    expect(scaled({ value: 2, variance: 9, units: 4 }, 1_000)).toEqual({ value: 2_000, variance: 9_000_000, units: 4 });
    expect(scaled({ value: 2, variance: undefined, units: 4, degrees: 3 }, 2)).toEqual({
      ...{ value: 4, variance: undefined, units: 4, degrees: 3 },
    });
  });
});

describe('comparison', () => {
  const some = { value: 2, variance: 0.01, units: 50 };

  it('is undefined where nothing can be inferred', () => {
    expect(compare(undefined, some, 0.95)).toBeUndefined();
    expect(compare(some, { ...some, variance: undefined }, 0.95)).toBeUndefined();
    expect(compare({ ...some, variance: 0 }, { ...some, variance: 0 }, 0.95)).toBeUndefined();
  });

  it('has no relative effect against a control that cannot be told from 0', () => {
    expect(compare({ ...some, value: 0.15 }, some, 0.95)).toMatchObject({ relative: null, relativeInterval: null });
    const effect = compare({ value: 0, variance: 0, units: 50 }, some, 0.95)!;
    expect(effect).toMatchObject({ absolute: 2, relative: null, relativeInterval: null, significant: true });
  });

  it('calls significant exactly what its interval keeps apart from 0', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.5, max: 4, noNaN: true }),
        fc.double({ min: 0.6, max: 0.999, noNaN: true }),
        (value, confidence) => {
          const effect = compare(some, { ...some, value }, confidence)!;
          expect(effect.significant).toBe(effect.interval[0] > 0 || effect.interval[1] < 0);
          expect(effect.significant).toBe(effect.pValue < 1 - confidence);
          const [low, high] = effect.relativeInterval!;
          expect(effect.significant).toBe(low > 0 || high < 0);
        },
      ),
      { seed: 2 },
    );
  });
});

/** Users of uneven activity (1 to 40 queries) and uneven taste, so that a user's clicks are not independent. */
function users(count: number, uniform: () => number): { y: number[]; x: number[] } {
  const x = Array.from({ length: count }, () => 1 + Math.floor(40 * uniform() ** 3));
  const y = x.map((queries) => {
    const taste = 0.6 * uniform() ** 2;
    return Array.from({ length: queries }, () => uniform() < taste).filter(Boolean).length;
  });
  return { y, x };
}

describe('in simulation', () => {
  it('the delta-method error of a ratio is within 3 % of the bootstrap over users', () => {
    const uniform = uniforms(11);
    const { y, x } = users(500, uniform);
    const values = Array.from({ length: 10_000 }, () => {
      let [top, bottom] = [0, 0];
      for (let i = 0; i < x.length; i++) {
        const user = Math.floor(uniform() * x.length);
        top += y[user]!;
        bottom += x[user]!;
      }
      return top / bottom;
    });
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const bootstrap = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));
    const delta = Math.sqrt(ratioOfSums(ratioSums(y, x))!.variance!);
    expect(Math.abs(delta / bootstrap - 1)).toBeLessThan(0.03);
    // The binomial formula takes rows for independent; here it is off by far more than that.
    const naive = Math.sqrt((mean * (1 - mean)) / x.reduce((sum, v) => sum + v, 0));
    expect(naive / bootstrap).toBeLessThan(0.8);
  });

  it('of 500 A/A tests about 5 % of the intervals miss 0, for means and for ratios, absolute and relative', () => {
    const uniform = uniforms(5);
    const missed = { mean: 0, ratio: 0, relativeMean: 0, relativeRatio: 0 };
    const tests = 500;
    const apart = ([low, high]: [number, number]) => (low > 0 || high < 0 ? 1 : 0);
    for (let test = 0; test < tests; test++) {
      const [a, b] = [users(120, uniform), users(150, uniform)];
      const mean = compare(meanPerUnit(meanSums(a.y)), meanPerUnit(meanSums(b.y)), 0.95)!;
      const ratio = compare(ratioOfSums(ratioSums(a.y, a.x)), ratioOfSums(ratioSums(b.y, b.x)), 0.95)!;
      missed.mean += apart(mean.interval);
      missed.ratio += apart(ratio.interval);
      missed.relativeMean += apart(mean.relativeInterval!);
      missed.relativeRatio += apart(ratio.relativeInterval!);
    }
    // 5 % within three standard errors of a share of 500; bench/experiments.ts runs thousands
    for (const [kind, count] of Object.entries(missed)) {
      expect(count / tests, kind).toBeGreaterThan(0.02);
      expect(count / tests, kind).toBeLessThan(0.08);
    }
  });
});
