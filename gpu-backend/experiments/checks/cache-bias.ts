/**
 * A cache that arms share unequally. Each plan has entries of its own, and the larger arm keeps its own warmer, so an arm of
 * 10 % is slower and fresher than it would be at 100 %. The hit rate per unit and the age of what was hit tell; both are
 * ratios over units, compared like any other.
 */
import { estimateQuantity, momentsOf, type Quantity } from '../estimators/quantity.ts';
import { compare } from '../estimators/welch.ts';
import { type Check, printByArm, printP } from './check.ts';
import type { Evidence } from './evidence.ts';

type Cached = 'queries' | 'hits' | 'ageMs';

const HIT_RATE: Quantity<Cached> = { numerator: 'hits', denominator: 'queries' };
const AGE: Quantity<Cached> = { numerator: 'ageMs', denominator: 'hits' };
/** Chance of a warning where the arms' caches are alike. */
const ALPHA = 0.001;
/** Difference of hit rates that matters. */
const APART = 0.01;

export const cacheBias: Check = {
  key: 'cache_bias',
  title: 'Cache',
  find({ experiment, arms, sample }: Evidence) {
    const compared = arms
      .filter(({ weight }) => weight > 0)
      .map(({ arm, weight }) => {
        const moments = momentsOf<Cached>(sample.filter((unit) => unit.arm === arm));
        return { arm, weight, rate: estimateQuantity(moments, HIT_RATE), age: estimateQuantity(moments, AGE) };
      });
    const control = compared.find(({ arm }) => arm === experiment.control);
    if (control?.rate === undefined || sample.every(({ hits }) => hits === 0)) return undefined;
    const others = compared.filter((arm) => arm !== control && arm.rate !== undefined);
    const effects = others.map(({ rate }) => compare(control.rate, rate, 1 - ALPHA));
    const pValue = Math.min(1, ...effects.map((effect) => (effect === undefined ? 1 : effect.pValue * others.length)));
    const unequal = new Set(arms.filter(({ weight }) => weight > 0).map(({ weight }) => weight)).size > 1;
    const biased = pValue < ALPHA && effects.some((effect) => effect && Math.abs(effect.absolute) >= APART);
    return {
      severity: biased ? 'warning' : 'ok',
      expected: 'one hit rate in all arms',
      received: `hits ${printByArm(compared, ({ rate, age }) =>
        rate === undefined
          ? 'none'
          : `${(100 * rate.value).toFixed(1)} %${age === undefined ? '' : ` aged ${(age.value / 1_000).toFixed(0)} s`}`,
      )} (${printP(pValue)})`,
      action: !biased
        ? ''
        : unequal
          ? 'The larger arm warms the cache more: compare latency, freshness and what follows from them at equal shares only, or let the arms bypass the cache.'
          : 'The plans are cached differently well: latency and freshness are part of the effect.',
      pValue,
    };
  },
};
