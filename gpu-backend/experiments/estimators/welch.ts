/**
 * Two arms compared without assuming equal variances (Welch 1947, degrees of freedom by Satterthwaite). It takes means,
 * ratios, adjusted values and quantiles alike: each comes with the variance of an average over the same units.
 */
import type { Effect } from '../../../shared/contract/experiments.ts';
import { studentCritical, studentPValue } from '../distributions/student-t.ts';
import { comparable, type Estimate, type Known } from './estimate.ts';
import { fieller } from './fieller.ts';

/** Degrees of freedom of the difference. */
function welchDegrees(control: Known, treatment: Known): number {
  const [a, b] = [control, treatment].map(({ variance, units, degrees = units - 1 }) => variance ** 2 / degrees);
  return (control.variance + treatment.variance) ** 2 / (a! + b!);
}

export interface EffectOptions {
  /** Standard errors that the intervals reach. */
  critical: number;
  pValue: (z: number) => number;
  /** Of the two estimates, where they are over the same units; 0 unless given. */
  covariance?: number | undefined;
}

/** The difference and, by Fieller, the relative difference with intervals of `critical` standard errors. */
export function effectAt(
  control: Known,
  treatment: Known,
  { critical, pValue, covariance = 0 }: EffectOptions,
): Effect {
  const error = Math.sqrt(control.variance + treatment.variance - 2 * covariance);
  const absolute = treatment.value - control.value;
  const interval: [number, number] = [absolute - critical * error, absolute + critical * error];
  const relative = fieller(control, treatment, { critical, covariance });
  return {
    absolute,
    interval,
    relative: relative === undefined ? null : relative.ratio - 1,
    relativeInterval: relative === undefined ? null : [relative.interval[0] - 1, relative.interval[1] - 1],
    pValue: pValue(absolute / error),
    significant: interval[0] > 0 || interval[1] < 0,
  };
}

/**
 * Effect of `treatment` against `control` at a horizon fixed in advance, with two-sided intervals. `undefined` where there
 * is nothing to infer from: an arm has fewer than two units, or no unit differs from another in either arm.
 */
export function compare(
  control: Estimate | undefined,
  treatment: Estimate | undefined,
  confidence: number,
): Effect | undefined {
  const arms: [Estimate | undefined, Estimate | undefined] = [control, treatment];
  if (!comparable(arms)) return undefined;
  const df = welchDegrees(...arms);
  return effectAt(...arms, { critical: studentCritical(confidence, df), pValue: (t) => studentPValue(t, df) });
}
