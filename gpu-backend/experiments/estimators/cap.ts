/**
 * Capping (winsorising): a unit's value counts up to a threshold, so that a few whales do not drown the rest. The threshold
 * is one for all arms, taken from their pooled units: thresholds by arm would cut away part of an effect, and bias it.
 */

/** The smallest value with at least a share `quantile` of the pooled units at or below it; `undefined` without units. */
export function pooledThreshold(arms: readonly (readonly number[])[], quantile: number): number | undefined {
  const all = Float64Array.from(arms.flat()).sort();
  return all[Math.max(0, Math.ceil(quantile * all.length) - 1)];
}

/** The values, none above the threshold. */
export function capped(values: readonly number[], threshold: number): number[] {
  return values.map((value) => Math.min(value, threshold));
}
