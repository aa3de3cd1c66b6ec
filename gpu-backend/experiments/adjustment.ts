/**
 * A metric's values with less noise, and no other meaning: adjusted by what the units did before the experiment, or, where
 * nothing is known of that, weighted by the market and device in which they were first seen.
 */
import type { SumMetric } from '../../shared/metric.ts';
import { columnsOf, covariateColumnsOf, quantityOf } from './columns.ts';
import { adjust } from './estimators/cuped.ts';
import type { Estimate } from './estimators/estimate.ts';
import { postStratify } from './estimators/post-stratify.ts';
import { estimateQuantity, pooled } from './estimators/quantity.ts';
import type { Rollup } from './rollup.ts';

export interface AdjustedMetric {
  by: 'before' | 'strata';
  estimates: ReadonlyMap<string, Estimate>;
  /** Share of the summed variance that is left. */
  varianceShare: number;
}

/** `undefined` where there is neither a past nor more than one stratum, or an arm has too few units. */
export function adjustMetric(
  rollup: Pick<Rollup, 'arms' | 'strata' | 'before'>,
  metric: SumMetric,
): AdjustedMetric | undefined {
  const quantity = quantityOf(columnsOf(metric), metric.scale);
  const arms = [...rollup.arms.keys()].sort();
  const moments = arms.map((arm) => rollup.arms.get(arm)!);
  const byArm = (estimates: readonly (Estimate | undefined)[]) =>
    new Map(arms.flatMap((arm, at) => (estimates[at] === undefined ? [] : [[arm, estimates[at]] as const])));

  if (rollup.before) {
    const found = adjust(moments, { quantity, covariate: quantityOf(covariateColumnsOf(metric), metric.scale) });
    if (found !== undefined)
      return { by: 'before', estimates: byArm(found.estimates), varianceShare: found.varianceShare };
  }
  if (rollup.strata.size < 2) return undefined;
  const strata = [...rollup.strata.values()].map((stratum) => arms.map((arm) => stratum.get(arm) ?? pooled([])));
  const found = byArm(postStratify(strata, quantity));
  const variance = (estimates: readonly (Estimate | undefined)[]) =>
    estimates.reduce((sum, each) => sum + (each?.variance ?? Number.NaN), 0);
  const varianceShare = variance([...found.values()]) / variance(moments.map((arm) => estimateQuantity(arm, quantity)));
  if (found.size < arms.length || !Number.isFinite(varianceShare)) return undefined;
  return { by: 'strata', estimates: found, varianceShare };
}
