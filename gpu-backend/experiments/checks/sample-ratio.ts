/**
 * Did the arms get the shares of units that they were meant to get? Pearson's chi-square against the intended weights
 * (Fabijan et al., KDD 2019), the exact multinomial test for small counts. A mismatch means that units are lost or moved in
 * one arm, and that no metric can be trusted.
 */
import { chiSquarePValue } from '../distributions/chi-square.ts';
import { exactMultinomialPValue } from '../distributions/multinomial.ts';
import { type Check, type Found, printByArm, printP } from './check.ts';
import type { ArmCount } from './evidence.ts';

/** Chance of an alarm where nothing is wrong; strict, because the check is read again and again. */
export const ALPHA = 0.001;
/** Expected units an arm below which the chi-square distribution does not hold. */
const ENOUGH = 5;

export const sampleRatio: Check = {
  key: 'sample_ratio',
  title: 'Sample ratio',
  find: ({ arms }) => checkSampleRatio(arms),
};

/** P-value of the counts under the intended shares; `undefined` where no test fits them. Arms without weight are left out. */
export function sampleRatioPValue(arms: readonly ArmCount[]): number | undefined {
  const intended = arms.filter(({ weight }) => weight > 0);
  const units = intended.reduce((sum, arm) => sum + arm.units, 0);
  const weight = intended.reduce((sum, arm) => sum + arm.weight, 0);
  if (intended.length < 2 || units === 0) return undefined;
  const shares = intended.map((arm) => arm.weight / weight);
  if (shares.some((share) => share * units < ENOUGH))
    return exactMultinomialPValue(
      intended.map((arm) => arm.units),
      shares,
    );
  const statistic = intended.reduce((sum, arm, i) => {
    const expected = shares[i]! * units;
    return sum + (arm.units - expected) ** 2 / expected;
  }, 0);
  return chiSquarePValue(statistic, intended.length - 1);
}

/** Checks the counts of all arms, of which at least one has a weight. */
export function checkSampleRatio(arms: readonly ArmCount[]): Found {
  const units = arms.reduce((sum, arm) => sum + arm.units, 0);
  const weight = arms.reduce((sum, arm) => sum + arm.weight, 0);
  const expected = printByArm(arms, (arm) =>
    units === 0 ? `${((100 * arm.weight) / weight).toFixed(1)} %` : ((units * arm.weight) / weight).toFixed(1),
  );
  const received = `${units === 0 ? 'no units yet' : `units ${printByArm(arms, (arm) => String(arm.units))}`}`;

  const strangers = arms.filter((arm) => arm.weight === 0 && arm.units > 0).map(({ arm }) => arm);
  if (strangers.length > 0)
    return {
      severity: 'alarm',
      expected,
      received,
      action: `The experiment has no arm ${strangers.join(', ')}: its arms were changed while it ran; start a new experiment under a new key.`,
      pValue: null,
    };
  const pValue = sampleRatioPValue(arms);
  if (pValue === undefined) return { severity: 'unknown', expected, received, action: '', pValue: null };
  const ok = pValue >= ALPHA;
  return {
    severity: ok ? 'ok' : 'alarm',
    expected,
    received: `${received} (${printP(pValue)})`,
    action: ok ? '' : 'Do not read the metrics: find out where an arm loses or gains units first.',
    pValue,
  };
}
