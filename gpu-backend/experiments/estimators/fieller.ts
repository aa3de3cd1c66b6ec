/**
 * Interval of the ratio of two estimates (Fieller, JRSS B 1954): the ratios r for which treatment - r control
 * does not differ from 0. It holds where the control is noisy, and it leaves 1 out exactly where the difference of the two
 * leaves 0 out, so that the absolute and the relative effect never contradict each other.
 */
import type { Known } from './estimate.ts';

/**
 * Ratio treatment / control at `critical` standard errors; estimates over the same units have a covariance. `undefined` where the control cannot be told from 0: then no
 * bounded interval exists.
 */
export function fieller(
  control: Known,
  treatment: Known,
  { critical, covariance = 0 }: { critical: number; covariance?: number },
): { ratio: number; interval: [number, number] } | undefined {
  const [c, t] = [control.value, treatment.value];
  const [vc, vt] = [critical ** 2 * control.variance, critical ** 2 * treatment.variance];
  const a = c * c - vc;
  if (!(a > 0)) return undefined;
  const both = critical ** 2 * covariance;
  const half = Math.sqrt(Math.max(0, c * c * vt + t * t * vc - vc * vt - 2 * t * c * both + both * both));
  return { ratio: t / c, interval: [(t * c - both - half) / a, (t * c - both + half) / a] };
}
