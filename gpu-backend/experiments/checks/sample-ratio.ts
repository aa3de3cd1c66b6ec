/**
 * Did the arms get the shares of units that they were meant to get? Pearson's chi-square against the intended weights
 * (Fabijan et al., KDD 2019). A mismatch means that units are lost or moved in one arm, and that no metric can be trusted.
 */
import type { z } from 'zod';
import type { SampleRatioCheck } from '../../../shared/contract/experiments.ts';
import { chiSquarePValue } from '../distributions/chi-square.ts';

/** Chance of an alarm where nothing is wrong; strict, because the check is read again and again. */
export const ALPHA = 0.001;
/** Expected units an arm below which the chi-square distribution does not hold. */
const ENOUGH = 5;

export interface ArmCount {
  arm: string;
  /** Intended share, relative to the other arms'; 0 for an arm that the experiment does not have. */
  weight: number;
  units: number;
}

/** Checks two or more arms, of which at least one has a weight. */
export function checkSampleRatio(arms: readonly ArmCount[]): z.infer<typeof SampleRatioCheck> {
  const units = arms.reduce((sum, arm) => sum + arm.units, 0);
  const weight = arms.reduce((sum, arm) => sum + arm.weight, 0);
  const counted = arms.map((arm) => ({ ...arm, expected: (units * arm.weight) / weight }));
  const intended = counted.filter((arm) => arm.weight > 0);
  const strangers = counted.filter((arm) => arm.weight === 0 && arm.units > 0);

  const statistic = intended.reduce(
    (sum, arm) => sum + (arm.expected === 0 ? 0 : (arm.units - arm.expected) ** 2 / arm.expected),
    0,
  );
  const enough = units > 0 && intended.every(({ expected }) => expected >= ENOUGH);
  const pValue =
    strangers.length > 0
      ? Number.MIN_VALUE
      : units === 0 || intended.length < 2
        ? 1
        : chiSquarePValue(statistic, intended.length - 1);
  const ok = strangers.length === 0 && (!enough || pValue >= ALPHA);

  return {
    check: 'sample_ratio',
    ok,
    pValue,
    observed: Object.fromEntries(counted.map((arm) => [arm.arm, arm.units])),
    expected: Object.fromEntries(counted.map((arm) => [arm.arm, arm.expected])),
    message: message(),
  };

  function message(): string {
    if (units === 0) return 'No units yet.';
    const each = (show: (arm: (typeof counted)[number]) => string) =>
      counted.map((arm) => `${arm.arm} ${show(arm)}`).join(', ');
    const found = `Units: observed ${each((arm) => String(arm.units))}; expected ${each((arm) => arm.expected.toFixed(1))}`;
    if (strangers.length > 0)
      return `${found}. The experiment has no arm ${strangers.map(({ arm }) => arm).join(', ')}: its arms were changed while it ran; start a new experiment under a new key.`;
    if (!enough) return `${found}. Too few units to tell: at least ${ENOUGH} must be expected in every arm.`;
    const p = `p ${pValue < 1e-300 ? '< 1e-300' : `= ${pValue.toPrecision(2)}`}`;
    return ok
      ? `${found} (${p}).`
      : `${found} (${p} < ${ALPHA}). Do not read the metrics: find out where an arm loses or gains units first.`;
  }
}
