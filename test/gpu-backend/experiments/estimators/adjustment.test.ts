import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adjust } from '../../../../gpu-backend/experiments/estimators/cuped.ts';
import { postStratify } from '../../../../gpu-backend/experiments/estimators/post-stratify.ts';
import { clusteredQuantile } from '../../../../gpu-backend/experiments/estimators/quantile.ts';
import {
  covarianceOf,
  estimateQuantity,
  momentsOf,
  pooled,
} from '../../../../gpu-backend/experiments/estimators/quantity.ts';
import { rowsByUnit } from '../../../../gpu-backend/experiments/estimators/rows-by-unit.ts';
import { compare } from '../../../../gpu-backend/experiments/estimators/welch.ts';
import { gaussians, uniforms } from '../../../fixtures/random.ts';
import { expectClose, golden } from '../golden.ts';

type Name = 'y' | 'x' | 'beforeY' | 'beforeX';
/** Columns to one record a unit. */
const unitsOf = (columns: Partial<Record<Name, number[]>>) =>
  columns.y!.map((_, at) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[at]!])));
const momentsFrom = (columns: Partial<Record<Name, number[]>>) => momentsOf<Name>(unitsOf(columns));
const records = (name: Name, values: readonly number[]) => momentsOf<Name>(values.map((value) => ({ [name]: value })));

describe('CUPED', () => {
  it.each(golden.cuped.map((vector, i) => ({ i, ...vector })))(
    'reference vector $i',
    ({ arms, values, standardErrors }) => {
      const found = adjust(arms.map(momentsFrom), {
        quantity: { numerator: 'y', denominator: 'x' in arms[0]! ? 'x' : undefined },
        covariate: { numerator: 'beforeY', denominator: 'beforeX' in arms[0]! ? 'beforeX' : undefined },
      })!;
      for (const [at, { value, variance }] of found.estimates.entries()) {
        expectClose(value, values[at]!);
        expectClose(Math.sqrt(variance!), standardErrors[at]!);
      }
    },
  );

  it('is the regression on arm and covariate where the arms have equal sizes', () => {
    const { arms, theta, difference } = golden.ancova;
    const found = adjust(arms.map(momentsFrom), { quantity: { numerator: 'y' }, covariate: { numerator: 'beforeY' } })!;
    expectClose(found.theta, theta);
    expectClose(found.estimates[1]!.value - found.estimates[0]!.value, difference);
  });

  it('leaves 1 - rho^2 of the variance, for means and for ratios', () => {
    const normal = gaussians(7);
    const rho = 0.8;
    const arm = () => {
      const taste = Array.from({ length: 20_000 }, () => normal());
      const later = taste.map((t) => rho * t + Math.sqrt(1 - rho * rho) * normal());
      const whole = (z: number) => Math.round(1_000 * (10 + z));
      return { y: later.map(whole), beforeY: taste.map(whole), x: later.map(() => 7), beforeX: taste.map(() => 3) };
    };
    const arms = [momentsFrom(arm()), momentsFrom(arm())];
    for (const [x, beforeX] of [
      [undefined, undefined],
      ['x', 'beforeX'],
    ] as const) {
      const found = adjust(arms, {
        quantity: { numerator: 'y', denominator: x },
        covariate: { numerator: 'beforeY', denominator: beforeX },
      })!;
      expect(found.varianceShare).toBeCloseTo(1 - rho * rho, 1.7);
    }
  });

  it('moves with the unit of money, and not with the unit of the covariate', () => {
    const { y, beforeY } = golden.cuped[0]!.arms[0]!;
    const other = golden.cuped[0]!.arms[1]!;
    const times = (values: number[], factor: number) => values.map((value) => value * factor);
    const of = (money: number, before: number) =>
      adjust(
        [
          momentsFrom({ y: times(y, money), beforeY: times(beforeY, before) }),
          momentsFrom({ y: times(other.y, money), beforeY: times(other.beforeY, before) }),
        ],
        { quantity: { numerator: 'y' }, covariate: { numerator: 'beforeY' } },
      )!.estimates[0]!;
    const plain = of(1, 1);
    const both = of(1_000, 50);
    expectClose(both.value, plain.value * 1_000);
    expectClose(both.variance, plain.variance! * 1_000_000);
  });

  it('is refused where the covariate says nothing', () => {
    const arm = momentsFrom({ y: [1, 2, 3], beforeY: [0, 0, 0], beforeX: [0, 0, 0] });
    const quantity = { numerator: 'y' } as const;
    expect(adjust([arm, arm], { quantity, covariate: { numerator: 'beforeY' } })).toBeUndefined();
    expect(
      adjust([arm, arm], { quantity, covariate: { numerator: 'beforeY', denominator: 'beforeX' } }),
    ).toBeUndefined();
    const one = momentsFrom({ y: [1], beforeY: [2] });
    const covariate = { numerator: 'beforeY' } as const;
    const two = momentsFrom({ y: [1, 2, 3], beforeY: [5, 0, 1] });
    expect(adjust([two, two], { quantity, covariate })?.estimates).toHaveLength(2);
    expect(adjust([two, one], { quantity, covariate })).toBeUndefined();
    const alike = momentsFrom({ y: [2, 2, 2], beforeY: [5, 0, 1] });
    expect(adjust([alike, alike], { quantity, covariate })).toBeUndefined();
  });
});

describe('post-stratification', () => {
  it.each(golden.postStratified.map((vector, i) => ({ i, ...vector })))('reference vector $i', (vector) => {
    const strata = vector.strata.map((arms) => arms.map((values) => records('y', values)));
    const found = postStratify(strata, { numerator: 'y' });
    for (const [at, each] of found.entries()) {
      expectClose(each!.value, vector.values[at]!);
      expectClose(Math.sqrt(each!.variance!), vector.standardErrors[at]!);
    }
  });

  it('is the plain estimate where there is one stratum, for ratios too', () => {
    const arms = golden.cuped[1]!.arms.map(momentsFrom);
    for (const denominator of [undefined, 'x'] as const) {
      const quantity = { numerator: 'y', denominator, scale: 1_000 } as const;
      for (const [at, each] of postStratify([arms], quantity).entries()) {
        const plain = estimateQuantity(arms[at], quantity)!;
        expectClose(each!.value, plain.value);
        expectClose(each!.variance, plain.variance!);
      }
    }
    const none = momentsFrom({ y: [1, 2], x: [0, 0] });
    expect(postStratify([[none, none]], { numerator: 'y', denominator: 'x' })).toEqual([undefined, undefined]);
    expect(covarianceOf(none, { numerator: 'y' }, { numerator: 'y', denominator: 'x' })).toBeUndefined();
  });

  it('takes strata without enough units in some arm together, and loses none of the units', () => {
    const stratum = (...sizes: number[]) =>
      sizes.map((size) =>
        records(
          'y',
          Array.from({ length: size }, (_, i) => i),
        ),
      );
    const found = postStratify([stratum(30, 40), stratum(1, 9), stratum(1, 0), stratum(5, 6)], { numerator: 'y' });
    expect(found.map((each) => each!.units)).toEqual([37, 55]);
    const alone = postStratify([stratum(30, 40), stratum(1, 0)], { numerator: 'y' });
    expect(alone.map((each) => each!.units)).toEqual([31, 40]);
    // To the largest of the others, and to that one alone.
    const [small, large, lone] = [stratum(5, 6), stratum(30, 40), stratum(1, 0)];
    const joined = large.map((arm, at) => pooled([arm, lone[at]!]));
    expect(postStratify([small, large, lone], { numerator: 'y' })).toEqual(
      postStratify([small, joined], { numerator: 'y' }),
    );
    expect(postStratify([stratum(1, 1)], { numerator: 'y' })).toEqual([undefined, undefined]);
    expect(postStratify([], { numerator: 'y' })).toEqual([]);
  });

  it('takes the difference between strata out of the variance', () => {
    const low = records('y', [1, 2, 1, 2, 1, 2]);
    const high = records('y', [101, 102, 101, 102, 101, 102]);
    const [plain] = [estimateQuantity(pooled([low, high]), { numerator: 'y' })!];
    const [adjusted] = postStratify(
      [
        [low, low],
        [high, high],
      ],
      { numerator: 'y' },
    );
    expectClose(adjusted!.value, plain.value);
    expect(adjusted!.variance).toBeLessThan(plain.variance! / 1_000);
  });
});

describe('clustered quantiles', () => {
  it.each(golden.quantile.map((vector, i) => ({ i, ...vector })))('reference vector $i', (vector) => {
    const found = clusteredQuantile(rowsByUnit(vector.units), vector.probability)!;
    expect(found.value).toBe(vector.value);
    expectClose(Math.sqrt(found.variance!), vector.standardError);
    expect(found.units).toBe(vector.units.length);
    expectClose(found.degrees, vector.degrees);
  });

  it('have intervals that cover the truth in about 95 % of samples, where those of independent rows do not', () => {
    const normal = gaussians(3);
    const [probability, truth] = [0.9, 1.2815515655446004];
    let [clustered, naive] = [0, 0];
    const samples = 250;
    for (let sample = 0; sample < samples; sample++) {
      // rows of one unit share most of their luck; each row is standard normal, in thousandths
      const units = Array.from({ length: 120 }, () => {
        const shared = normal();
        return Array.from({ length: 1 + Math.floor(12 * Math.abs(normal())) }, () =>
          Math.round(1_000 * (Math.sqrt(0.6) * shared + Math.sqrt(0.4) * normal())),
        );
      });
      const covers = (groups: number[][]) => {
        const { value, variance } = clusteredQuantile(rowsByUnit(groups), probability)!;
        return Math.abs(value - 1_000 * truth) <= 1.96 * Math.sqrt(variance!) ? 1 : 0;
      };
      clustered += covers(units);
      naive += covers(units.flat().map((row) => [row]));
    }
    // 95 % within three standard errors of a share of 250
    expect(clustered / samples).toBeGreaterThan(0.908);
    expect(clustered / samples).toBeLessThan(0.992);
    expect(naive / samples).toBeLessThan(0.85);
  });

  it('know how unsure their variance is, so that small A/A tests are wrong in about 5 %', () => {
    const normal = gaussians(17);
    const arm = () =>
      clusteredQuantile(
        rowsByUnit(
          Array.from({ length: 60 }, () => {
            const shared = normal();
            return Array.from({ length: 1 + Math.floor(4 * Math.abs(normal())) }, () =>
              Math.round(1_000 * (Math.sqrt(0.3) * shared + Math.sqrt(0.7) * normal())),
            );
          }),
        ),
        0.8,
      )!;
    const tests = 1_500;
    let [found, byUnits] = [0, 0];
    for (let test = 0; test < tests; test++) {
      const [a, b] = [arm(), arm()];
      found += Number(compare(a, b, 0.95)!.significant);
      byUnits += Number(compare({ ...a, degrees: undefined }, { ...b, degrees: undefined }, 0.95)!.significant);
    }
    // 5 % within two standard errors; degrees that count units are beyond them
    expect(found / tests).toBeLessThan(0.061);
    expect(byUnits / tests).toBeGreaterThan(0.063);
  });

  it('are read at any share without a slip of rounding', () => {
    const source = rowsByUnit(Array.from({ length: 100 }, (_, i) => [i + 1]));
    for (let row = 1; row <= 100; row++) expect(source.at(row / 100)).toBe(row);
  });

  it('is undefined without rows, and of unknown error with one unit', () => {
    expect(clusteredQuantile(rowsByUnit([]), 0.5)).toBeUndefined();
    expect(clusteredQuantile(rowsByUnit([[3, 4, 9]]), 0.5)).toEqual({ value: 4, variance: undefined, units: 1 });
  });
});

describe('invariances', () => {
  const unit = fc.record({
    y: fc.integer({ min: 0, max: 5_000 }),
    x: fc.integer({ min: 1, max: 50 }),
    beforeY: fc.integer({ min: 0, max: 5_000 }),
    beforeX: fc.integer({ min: 0, max: 50 }),
  });
  const arm = fc.array(unit, { minLength: 3, maxLength: 25 });
  const quantity = { numerator: 'y', denominator: 'x' } as const;

  it('the order of units does not show', () => {
    fc.assert(
      fc.property(arm, arm, fc.integer(), (a, b, seed) => {
        const uniform = uniforms(seed);
        const shuffled = (units: typeof a) => units.toSorted(() => uniform() - 0.5);
        const covariate = { numerator: 'beforeY' } as const;
        const of = (units: (typeof a)[]) =>
          adjust(
            units.map((each) => momentsOf<Name>(each)),
            { quantity, covariate },
          );
        expect(of([shuffled(a), shuffled(b)])).toEqual(of([a, b]));
      }),
      { seed: 1 },
    );
  });

  it('sums of parts are those of the whole', () => {
    fc.assert(
      fc.property(arm, arm, (a, b) => {
        const together = estimateQuantity(pooled([momentsOf<Name>(a), momentsOf<Name>(b)]), quantity);
        expect(together).toEqual(estimateQuantity(momentsOf<Name>([...a, ...b]), quantity));
      }),
      { seed: 2 },
    );
  });

  it('a covariance is symmetrical, is the variance with itself, and scales with both', () => {
    fc.assert(
      fc.property(arm, (units) => {
        const moments = momentsOf<Name>(units);
        const other = { numerator: 'beforeY' } as const;
        const both = covarianceOf(moments, quantity, other)!;
        const near = (a: number, b: number, size: number) => expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-9 * size);
        const variance = estimateQuantity(moments, quantity)!.variance!;
        near(
          covarianceOf(moments, quantity, quantity)!,
          variance,
          1 + (estimateQuantity(moments, quantity)!.value + 1) ** 2,
        );
        near(covarianceOf(moments, other, quantity)!, both, 1 + Math.abs(both));
        const scaled = covarianceOf(moments, { ...quantity, scale: 1_000 }, { ...other, scale: 10 })!;
        near(scaled, 10_000 * both, 10_000 * (1 + Math.abs(both)));
      }),
      { seed: 3 },
    );
  });
});
