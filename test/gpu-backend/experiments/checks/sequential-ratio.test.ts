import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleRatioPValue } from '../../../../gpu-backend/experiments/checks/sample-ratio.ts';
import {
  ALPHA,
  lnBayesFactor,
  sequentialPValues,
} from '../../../../gpu-backend/experiments/checks/sequential-ratio.ts';
import { lnGamma } from '../../../../gpu-backend/experiments/distributions/ln-gamma.ts';
import { exactMultinomialPValue } from '../../../../gpu-backend/experiments/distributions/multinomial.ts';
import { experimentOf } from '../../../fixtures/experiment-traffic.ts';
import { gaussians } from '../../../fixtures/random.ts';
import golden from '../../../golden/experiment-checks.json' with { type: 'json' };
import { expectClose } from '../golden.ts';
import { evidenceOf, find } from './evidence-of.ts';

const sharesOf = (weights: readonly number[]) => weights.map((w) => w / weights.reduce((a, b) => a + b));
const dayOf = (day: number) => new Date(Date.UTC(2026, 0, 1 + day)).toISOString().slice(0, 10);

describe('exact sample ratio', () => {
  it.each(golden.lnGamma)('ln Γ($x)', ({ x, lnGamma: expected }) => {
    expect(lnGamma(x)).toBeCloseTo(expected, x < 1e5 ? 10 : 6);
  });

  it.each(golden.exact)('$counts against $weights', ({ counts, weights, pValue }) => {
    expectClose(exactMultinomialPValue(counts, sharesOf(weights)), pValue);
    expectClose(sampleRatioPValue(counts.map((units, i) => ({ arm: `${i}`, weight: weights[i]!, units }))), pValue);
  });

  it('says so where there are too many outcomes to go through', () => {
    expect(exactMultinomialPValue(Array(12).fill(3), Array(12).fill(1 / 12))).toBeUndefined();
  });
});

describe('sequential sample ratio', () => {
  it.each(golden.sequential)('$looks against $weights', ({ looks, weights, lnBayesFactors, pValues }) => {
    for (const [i, counts] of looks.entries())
      expect(lnBayesFactor(counts, sharesOf(weights))).toBeCloseTo(lnBayesFactors[i]!, 6);
    for (const [i, p] of sequentialPValues(looks, sharesOf(weights)).entries()) expectClose(p, pValues[i]!);
  });

  it('never takes an alarm back', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5_000), fc.nat(5_000)), { minLength: 1, maxLength: 30 }), (daily) => {
        const looks = daily.map((_, last) =>
          [0, 1].map((arm) => daily.slice(0, last + 1).reduce((n, day) => n + day[arm]!, 0)),
        );
        const pValues = sequentialPValues(looks, [0.5, 0.5]);
        for (const [i, p] of pValues.entries()) expect(p).toBeLessThanOrEqual(pValues[i - 1] ?? 1);
      }),
      { seed: 1 },
    );
  });

  it('is wrong at most as often as it says over 1,000 looks, where a test read daily is wrong far more often', () => {
    const normal = gaussians(11);
    const trials = 150;
    let [anytime, naive] = [0, 0];
    for (let trial = 0; trial < trials; trial++) {
      const looks: number[][] = [];
      let treated = 0;
      for (let look = 1; look <= 1_000; look++) {
        treated += Math.round(50 + 5 * normal());
        looks.push([look * 100 - treated, treated]);
      }
      if (sequentialPValues(looks, [0.5, 0.5]).at(-1)! < ALPHA) anytime++;
      const peeked = looks.some(
        (counts) => sampleRatioPValue(counts.map((units, i) => ({ arm: `${i}`, weight: 1, units })))! < ALPHA,
      );
      if (peeked) naive++;
    }
    expect(anytime).toBeLessThanOrEqual(5);
    expect(naive).toBeGreaterThan(15);
  });

  it('catches a loss of 1 % in one arm, and names the day', () => {
    const units = { control: 100_000, treatment: 99_000 };
    const arrivals = Array.from({ length: 12 }, (_, day) => ({ day: dayOf(day), units }));
    const found = find('sample_ratio_sequential', evidenceOf(experimentOf('test'), {}, { arrivals }))!;
    expect(found.severity).toBe('alarm');
    expect(found.received).toContain('since 2026-01-');
    const clean = arrivals.map(({ day }) => ({ day, units: { control: 100_000, treatment: 100_100 } }));
    expect(find('sample_ratio_sequential', evidenceOf(experimentOf('test'), {}, { arrivals: clean }))).toMatchObject({
      severity: 'ok',
      expected: 'control 50.00 %, treatment 50.00 %',
    });
  });
});
