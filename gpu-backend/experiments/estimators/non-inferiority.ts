/**
 * Guardrails: is the treatment worse by no more than a tolerated share of the control? A one-sided Welch test of
 * treatment - (1 - margin) control, so that not finding harm is never taken for its absence.
 */
import { studentTail } from '../distributions/student-t.ts';
import { comparable, type Estimate, scaled } from './estimate.ts';
import { welchDegrees } from './welch.ts';

export interface NonInferiority {
  /** Tolerated relative loss, in (0, 1). */
  margin: number;
  /** Of the hypothesis that the loss is the margin or more; one-sided. */
  pValue: number;
  /** The loss is shown to be below the margin, with one-sided error (1 - confidence) / 2. */
  ok: boolean;
}

/** `direction` is the way in which the metric gets better. `undefined` where there is nothing to infer from. */
export function nonInferior(
  control: Estimate | undefined,
  treatment: Estimate | undefined,
  { margin, direction, confidence }: { margin: number; direction: 'increase' | 'decrease'; confidence: number },
): NonInferiority | undefined {
  const sign = direction === 'increase' ? 1 : -1;
  const arms: [Estimate | undefined, Estimate | undefined] = [control && scaled(control, 1 - sign * margin), treatment];
  if (!comparable(arms)) return undefined;
  const [bound, found] = arms;
  const t = (sign * (found.value - bound.value)) / Math.sqrt(bound.variance + found.variance);
  const tail = studentTail(Math.abs(t), welchDegrees(bound, found));
  const pValue = Math.max(t >= 0 ? tail : 1 - tail, Number.MIN_VALUE);
  return { margin, pValue, ok: pValue < (1 - confidence) / 2 };
}
