/**
 * A quantile of rows, such as the 95th percentile of answer times, where the unit of diversion has many rows: the share of
 * rows at or below it is a ratio over units, and the interval of that share by the delta method, read back through the
 * quantile function, is the interval of the quantile (the outer interval of Deng, Knoblich and Lu, KDD 2018, section 4).
 *
 * The width of that interval stands for the density at the quantile and comes from the few rows inside it, so that the
 * variance is much less sure than the number of units says; with the normal's critical value, or a t of as many degrees as
 * units, intervals are too short (Kaplan, "Improved quantile inference via fixed-smoothing asymptotics and Edgeworth
 * expansion", Journal of Econometrics 2015). The variance therefore comes with degrees of freedom of its own.
 */
import normalQuantile from '@stdlib/stats-base-dists-normal-quantile';
import type { Estimate } from './estimate.ts';

/** Confidence of the interval that the variance is read from. */
const CONFIDENCE = 0.95;

export interface QuantileSource {
  /** The smallest value with at least this share of the rows at or below it; `undefined` without rows. */
  at(share: number): number | undefined;
  /** Share of the rows at or below a value, and above another where that is given, as a ratio over units (quantity.ts). */
  share(upTo: number, above?: number): Estimate | undefined;
}

/** The quantile at `probability` in (0, 1); `undefined` without rows, without a variance where there is one unit. */
export function clusteredQuantile(source: QuantileSource, probability: number): Estimate | undefined {
  const value = source.at(probability);
  const share = value === undefined ? undefined : source.share(value);
  if (value === undefined || share === undefined) return undefined;
  const { variance, units } = share;
  if (variance === undefined) return { value, variance, units };
  const z = normalQuantile((1 + CONFIDENCE) / 2, 0, 1);
  const reach = z * Math.sqrt(variance);
  const [low, high] = [source.at(Math.max(0, probability - reach)), source.at(Math.min(1, probability + reach))];
  return {
    value,
    variance: ((high! - low!) / (2 * z)) ** 2,
    units,
    degrees: degreesOf(source.share(high!, low!), units),
  };
}

/**
 * Satterthwaite's: 2 / degrees is the squared relative error of the variance. That of the share at the quantile has 2 / (units - 1);
 * that of the squared width is four times the width's own, which is that of the share of rows inside.
 */
function degreesOf(inside: Estimate | undefined, units: number): number {
  if (inside?.variance === undefined || inside.value === 0) return units - 1;
  return 1 / (1 / (units - 1) + (2 * inside.variance) / inside.value ** 2);
}
