/**
 * Variance reduction by a covariate that the experiment cannot have changed, such as the same measure before it started
 * (CUPED: Deng, Xu, Kohavi and Walker, WSDM 2013; ratios as in its appendix B, through their influences). Each arm's value
 * becomes value - theta (covariate - covariate of all arms). A covariate with correlation rho leaves 1 - rho^2 of the
 * variance.
 */
import type { Estimate } from './estimate.ts';
import { covarianceOf, estimateQuantity, type Moments, pooled, type Quantity } from './quantity.ts';

export interface Adjusted {
  /** In the order of the arms. */
  estimates: Estimate[];
  /** Change of the value for a change of the covariate; common to all arms, for the least variance of differences. */
  theta: number;
  /** Share of the summed variance that is left, 0 to 1. */
  varianceShare: number;
}

/**
 * Adjusts `quantity` in all arms; `undefined` where that is impossible: an arm is too small, or the covariate is 0 or the same
 * for all units.
 */
export function adjust<Name extends string>(
  arms: readonly Moments<Name>[],
  { quantity, covariate }: { quantity: Quantity<Name>; covariate: Quantity<Name> },
): Adjusted | undefined {
  const all = estimateQuantity(pooled(arms), covariate)?.value;
  const parts = arms.flatMap((arm) => {
    const now = estimateQuantity(arm, quantity);
    const before = estimateQuantity(arm, covariate);
    const together = covarianceOf(arm, quantity, covariate);
    if (now?.variance === undefined || before?.variance === undefined || together === undefined) return [];
    const { units, value, variance } = now;
    return { units, value, variance, before: before.value, beforeVariance: before.variance, together };
  });
  if (all === undefined || parts.length < arms.length) return undefined;
  const total = (of: (part: (typeof parts)[number]) => number) => parts.reduce((sum, part) => sum + of(part), 0);
  const spread = total((part) => part.beforeVariance);
  const variance = total((part) => part.variance);
  if (!(spread > 0 && variance > 0)) return undefined;

  const theta = total((part) => part.together) / spread;
  const estimates = parts.map(({ value, variance, units, before, beforeVariance, together }) => ({
    value: value - theta * (before - all),
    variance: Math.max(0, variance - 2 * theta * together + theta ** 2 * beforeVariance),
    units,
  }));
  return { estimates, theta, varianceShare: estimates.reduce((sum, each) => sum + each.variance, 0) / variance };
}
