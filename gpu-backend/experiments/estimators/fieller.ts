/**
 * Interval of the ratio of two independent estimates (Fieller, JRSS B 1954): the ratios r for which treatment - r control
 * does not differ from 0. It holds where the control is noisy, and it leaves 1 out exactly where the difference of the two
 * leaves 0 out, so that the absolute and the relative effect never contradict each other.
 */
import type { Known } from './estimate.ts';

/**
 * Ratio treatment / control at `critical` standard errors. `undefined` where the control cannot be told from 0: then no
 * bounded interval exists.
 */
export function fieller(
  control: Known,
  treatment: Known,
  critical: number,
): { ratio: number; interval: [number, number] } | undefined {
  const [c, t] = [control.value, treatment.value];
  const [vc, vt] = [critical ** 2 * control.variance, critical ** 2 * treatment.variance];
  const a = c * c - vc;
  if (!(a > 0)) return undefined;
  const half = Math.sqrt(c * c * vt + t * t * vc - vc * vt);
  return { ratio: t / c, interval: [(t * c - half) / a, (t * c + half) / a] };
}
