/**
 * Two arms compared without assuming equal variances (Welch 1947, degrees of freedom by Satterthwaite). It takes means and
 * ratios alike: a ratio's delta-method variance is that of a mean of residuals over the same units.
 */
import type { Effect } from '../../../shared/contract/experiments.ts';
import { studentCritical, studentPValue } from '../distributions/student-t.ts';
import type { Estimate } from './estimate.ts';

/**
 * Effect of `treatment` against `control`, with two-sided intervals. The relative effect is treatment / control - 1 and its
 * interval is by the delta method. `undefined` where there is nothing to infer from: an arm has fewer than two units, or
 * no unit differs from another in either arm.
 */
export function compare(
  control: Estimate | undefined,
  treatment: Estimate | undefined,
  confidence: number,
): Effect | undefined {
  if (control?.variance === undefined || treatment?.variance === undefined) return undefined;
  const variance = control.variance + treatment.variance;
  if (!(variance > 0)) return undefined;
  const df =
    variance ** 2 / (control.variance ** 2 / (control.units - 1) + treatment.variance ** 2 / (treatment.units - 1));
  const critical = studentCritical(confidence, df);
  const absolute = treatment.value - control.value;
  const margin = critical * Math.sqrt(variance);
  const interval: [number, number] = [absolute - margin, absolute + margin];
  const base = { absolute, interval, pValue: studentPValue(absolute / Math.sqrt(variance), df) };
  const significant = interval[0] > 0 || interval[1] < 0;
  if (control.value === 0) return { ...base, relative: null, relativeInterval: null, significant };
  const ratio = treatment.value / control.value;
  const relativeMargin =
    (critical * Math.sqrt(treatment.variance + ratio ** 2 * control.variance)) / Math.abs(control.value);
  return {
    ...base,
    relative: ratio - 1,
    relativeInterval: [ratio - 1 - relativeMargin, ratio - 1 + relativeMargin],
    significant,
  };
}
