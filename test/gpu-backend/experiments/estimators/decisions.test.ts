import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_PRIOR, posterior } from '../../../../gpu-backend/experiments/estimators/bayes.ts';
import { benjaminiHochberg, holm } from '../../../../gpu-backend/experiments/estimators/multiple.ts';
import { detectable, power, unitsFor } from '../../../../gpu-backend/experiments/estimators/power.ts';
import {
  compareAnytime,
  FEWEST_UNITS,
  sequenceCritical,
  sequencePValue,
} from '../../../../gpu-backend/experiments/estimators/sequence.ts';
import { compare } from '../../../../gpu-backend/experiments/estimators/welch.ts';
import { guardrailState } from '../../../../gpu-backend/experiments/verdict.ts';
import { gaussians } from '../../../fixtures/random.ts';
import { expectClose, golden } from '../golden.ts';

const estimate = fc.record({
  value: fc.double({ min: 0.1, max: 1_000, noNaN: true }),
  variance: fc.double({ min: 1e-6, max: 100, noNaN: true }),
  units: fc.integer({ min: FEWEST_UNITS, max: 1_000_000 }),
});

describe('comparison', () => {
  it('changes its sign, and nothing else, when the arms change places', () => {
    fc.assert(
      fc.property(estimate, estimate, (a, b) => {
        for (const of of [compare, (c: typeof a, t: typeof a) => compareAnytime(c, t, { confidence: 0.95 })]) {
          const [there, back] = [of(a, b, 0.95)!, of(b, a, 0.95)!];
          // 0 - x and not -x: what is the same in both arms differs by 0, not by -0.
          expect(back.absolute).toBe(0 - there.absolute);
          expect(back.interval).toEqual([0 - there.interval[1], 0 - there.interval[0]]);
          expect([back.pValue, back.significant]).toEqual([there.pValue, there.significant]);
        }
      }),
      { seed: 1 },
    );
  });

  it('gives the same relative effect in any unit of the metric', () => {
    fc.assert(
      fc.property(estimate, estimate, fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (a, b, factor) => {
        const times = (of: typeof a) => ({ ...of, value: of.value * factor, variance: of.variance * factor ** 2 });
        const [plain, other] = [compare(a, b, 0.95)!, compare(times(a), times(b), 0.95)!];
        expect(other.pValue).toBeCloseTo(plain.pValue, 9);
        // at the border of having a bounded interval, rounding may decide either way
        if (plain.relativeInterval === null || other.relativeInterval === null) return;
        expectClose(1 + other.relative!, 1 + plain.relative!);
      }),
      { seed: 2 },
    );
  });
});

describe('confidence sequences', () => {
  it.each(golden.sequence)('reference: the mixture over $units units, tuned for $tunedUnits', (vector) => {
    expectClose(sequenceCritical(vector.units, vector), vector.critical);
    expectClose(sequencePValue(vector.z, vector.units, vector), vector.pValue);
  });

  it('are narrowest near the units that they are tuned for, and always wider than one look', () => {
    const options = { confidence: 0.95, tunedUnits: 50_000 };
    const width = (units: number) => sequenceCritical(units, options);
    const rivals = [1_000, 10_000, 200_000, 1_000_000].map((tunedUnits) =>
      sequenceCritical(50_000, { ...options, tunedUnits }),
    );
    for (const rival of rivals) expect(width(50_000)).toBeLessThan(rival);
    for (const units of [200, 5_000, 50_000, 10_000_000]) expect(width(units)).toBeGreaterThan(1.96);
    const plain = { confidence: 0.95 };
    expect(sequenceCritical(500, plain)).toBe(sequenceCritical(500, { ...plain, tunedUnits: 10_000 }));
    expect(sequencePValue(0, 500, plain)).toBe(1);
  });

  it('have a p-value below the level exactly where the interval leaves 0 out', () => {
    fc.assert(
      fc.property(estimate, estimate, fc.double({ min: 0.6, max: 0.999, noNaN: true }), (a, b, confidence) => {
        const effect = compareAnytime(a, b, { confidence })!;
        expect(effect.pValue < 1 - confidence).toBe(effect.significant);
      }),
      { seed: 3 },
    );
  });

  it('wait for enough units', () => {
    const few = { value: 1, variance: 0.1, units: FEWEST_UNITS - 1 };
    expect(compareAnytime(few, { ...few, units: 10_000 }, { confidence: 0.95 })).toBeUndefined();
  });

  it('miss an effect of 0 in at most 5 % of experiments looked at all the way, where repeated tests miss it in far more', () => {
    const normal = gaussians(23);
    const [experiments, looks] = [300, 200];
    let [sequences, tests] = [0, 0];
    for (let experiment = 0; experiment < experiments; experiment++) {
      let [units, total, stopped, fooled] = [0, 0, false, false];
      for (let look = 0; look < looks; look++) {
        // 100 more units an arm: the sum of their differences has variance 2 x 100
        units += 100;
        total += Math.sqrt(200) * normal();
        const control = { value: 0, variance: 1 / units, units };
        const treatment = { value: total / units, variance: 1 / units, units };
        stopped ||= compareAnytime(control, treatment, { confidence: 0.95 })!.significant;
        fooled ||= Math.abs(total) > 1.96 * Math.sqrt(2 * units);
      }
      sequences += Number(stopped);
      tests += Number(fooled);
    }
    expect(sequences / experiments).toBeLessThanOrEqual(0.05);
    expect(tests / experiments).toBeGreaterThan(0.25);
  });
});

describe('posterior', () => {
  it.each(golden.posterior.map((vector, i) => ({ i, ...vector })))(
    'reference: integrals over the prior, case $i',
    (vector) => {
      const arm = ([value, variance]: number[]) => ({ value: value!, variance: variance!, units: 100 });
      const found = posterior(arm(vector.control), arm(vector.treatment), { confidence: 0.95, prior: vector.prior })!;
      for (const name of ['mean', 'standardDeviation', 'chancePositive', 'expectedLoss'] as const)
        expectClose(found[name], vector[name], name);
      for (const side of [0, 1]) expectClose(found.interval[side], vector.interval[side]!);
      expect(found.prior).toEqual(vector.prior);
    },
  );

  it('shrinks towards the prior, the more the less is known', () => {
    const at = (variance: number) =>
      posterior({ value: 1, variance: 0, units: 9 }, { value: 1.1, variance, units: 9 }, { confidence: 0.95 })!.mean;
    expect(at(1e-9)).toBeCloseTo(0.1, 6);
    expect(at(DEFAULT_PRIOR.standardDeviation ** 2)).toBeCloseTo(0.05, 9);
    expect(at(1e6)).toBeCloseTo(0, 6);
  });

  it('is undefined without a control to relate to, or a treatment that varies or is more than 0', () => {
    const some = { value: 1, variance: 1, units: 9 };
    expect(posterior({ ...some, value: 0 }, some, { confidence: 0.95 })).toBeUndefined();
    expect(posterior(undefined, some, { confidence: 0.95 })).toBeUndefined();
    expect(posterior(some, { ...some, value: 0, variance: 0 }, { confidence: 0.95 })).toBeUndefined();
  });
});

describe('many tests', () => {
  it.each(golden.multiple.map((vector, i) => ({ i, ...vector })))('reference vector $i', (vector) => {
    for (const [at, p] of holm(vector.pValues).entries()) expectClose(p, vector.holm[at]!);
    for (const [at, p] of benjaminiHochberg(vector.pValues).entries()) expectClose(p, vector.benjaminiHochberg[at]!);
  });

  it('never make a p-value smaller or greater than 1, keep their order, and Holm is the stricter', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }), (pValues) => {
        const [strict, lenient] = [holm(pValues), benjaminiHochberg(pValues)];
        for (const [at, p] of pValues.entries()) {
          expect(lenient[at]).toBeGreaterThanOrEqual(p * (1 - 1e-12));
          expect(strict[at]).toBeGreaterThanOrEqual(lenient[at]! * (1 - 1e-12));
          expect(strict[at]).toBeLessThanOrEqual(1);
          for (const [other, q] of pValues.entries()) if (p < q) expect(strict[at]).toBeLessThanOrEqual(strict[other]!);
        }
      }),
      { seed: 4 },
    );
  });
});

describe('guardrails', () => {
  it('are safe, or harmed, exactly where the treatment is told from the control less the margin at every look', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.8, max: 1.2, noNaN: true }),
        fc.double({ min: 0.01, max: 0.2, noNaN: true }),
        fc.constantFrom(1 as const, -1 as const),
        fc.constantFrom(1, 1e-2, 1e-6),
        (value, margin, direction, precision) => {
          const control = { value: 1, variance: 0.0005 * precision, units: 60_000 };
          const treatment = { value, variance: 0.0004 * precision, units: 40_000 };
          const options = { confidence: 0.95 };
          const kept = 1 - direction * margin;
          const error = Math.sqrt(treatment.variance + kept ** 2 * control.variance);
          const z = (direction * (value - kept)) / error;
          const critical = sequenceCritical(100_000, options);
          if (Math.abs(Math.abs(z) - critical) < 1e-6) return;
          expect(guardrailState(compareAnytime(control, treatment, options)!, direction, margin)).toBe(
            z > critical ? 'safe' : z < -critical ? 'harmed' : 'open',
          );
        },
      ),
      { seed: 5 },
    );
  });
});

describe('power', () => {
  it.each(golden.power.map((vector, i) => ({ i, ...vector })))('reference vector $i', (vector) => {
    const { design, relative } = vector;
    expect(unitsFor(design, { relative, power: vector.power })).toBe(Math.ceil(vector.units));
    expectClose(detectable(design, { units: vector.units, power: vector.power }), relative);
    for (const { units, power: reached } of vector.reached) expectClose(power(design, { relative, units }), reached);
  });

  it('at 80 % and 5 % needs sixteen variances over the squared effect an arm, less what a covariate explains', () => {
    const design = { baseline: 1, deviation: 1, confidence: 0.95 };
    // van Belle, Statistical Rules of Thumb, 2nd ed., rule 2.1
    expect(unitsFor(design, { relative: 0.01, power: 0.8 }) / 2 / (16 / 0.01 ** 2)).toBeCloseTo(1, 1);
    const plain = unitsFor(design, { relative: 0.01, power: 0.8 });
    const adjusted = unitsFor({ ...design, correlation: 0.6 }, { relative: 0.01, power: 0.8 });
    expect(adjusted / plain).toBeCloseTo(1 - 0.36, 4);
    expect(unitsFor({ ...design, anytime: true }, { relative: 0.01, power: 0.8 })).toBeGreaterThan(plain);
  });

  it('finds the detectable effect with the planned power in simulation', () => {
    const normal = gaussians(29);
    const design = { baseline: 10, deviation: 30, treatmentShare: 0.3, confidence: 0.95 };
    const units = 5_000;
    const relative = detectable(design, { units, power: 0.8 });
    const [treated, others] = [units * 0.3, units * 0.7];
    let found = 0;
    const experiments = 10_000;
    for (let experiment = 0; experiment < experiments; experiment++) {
      const arm = (mean: number, count: number) => {
        const variance = design.deviation ** 2 / count;
        return { value: mean + Math.sqrt(variance) * normal(), variance, units: count };
      };
      if (compare(arm(10, others), arm(10 * (1 + relative), treated), 0.95)!.significant) found++;
    }
    expect(found / experiments).toBeGreaterThan(0.788);
    expect(found / experiments).toBeLessThan(0.812);
  });
});
