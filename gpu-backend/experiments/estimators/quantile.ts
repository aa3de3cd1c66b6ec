/**
 * A quantile of rows, such as the 95th percentile of answer times, where the unit of diversion has many rows: the share of
 * rows at or below it is a ratio over units, and the interval of that share by the delta method, read back through the
 * quantile function, is the interval of the quantile (the outer interval of Deng, Knoblich and Lu, KDD 2018, section 4).
 */
import normalQuantile from '@stdlib/stats-base-dists-normal-quantile';
import type { Estimate } from './estimate.ts';

/** Confidence of the interval that the variance is read from. */
const CONFIDENCE = 0.95;

export interface QuantileSource {
  /** The smallest value with at least this share of the rows at or below it; `undefined` without rows. */
  at(share: number): number | undefined;
  /** Share of the rows at or below a value, as a ratio over units (quantity.ts). */
  share(value: number): Estimate | undefined;
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
  return { value, variance: ((high! - low!) / (2 * z)) ** 2, units };
}
