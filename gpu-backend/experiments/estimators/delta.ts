/**
 * A ratio of two sums over an arm (clicks / ads shown) whose unit of diversion is the user: the rows of one user are not
 * independent, so the variance comes from the users' pairs of sums by the delta method (Deng, Knoblich and Lu, KDD 2018).
 * With R = sum(y) / sum(x) it is that of the mean residual y - R x, divided by the mean x squared; the covariance of
 * numerator and denominator is inside.
 */
import type { Estimate } from './estimate.ts';

export interface RatioSums {
  units: number;
  /** Sums over units of the numerator y and the denominator x. */
  y: bigint;
  x: bigint;
  /** Sums over units of their products. */
  yy: bigint;
  xy: bigint;
  xx: bigint;
}

/** Ratio and its variance; `undefined` where the denominator is 0. */
export function ratioOfSums({ units, y, x, yy, xy, xx }: RatioSums): Estimate | undefined {
  if (x === 0n) return undefined;
  // sum((y - R x)^2) = (x^2 yy - 2 x y xy + y^2 xx) / x^2, whole-number arithmetic until the last division
  const residuals = x * x * yy - 2n * x * y * xy + y * y * xx;
  const denominator = Number(x);
  return {
    value: Number(y) / denominator,
    variance:
      units < 2 ? undefined : ((units / (units - 1)) * (Number(residuals) / denominator ** 2)) / denominator ** 2,
    units,
  };
}
