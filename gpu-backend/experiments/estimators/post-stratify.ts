/**
 * Post-stratification (Miratrix, Sekhon and Yu, JRSS B 2013): each arm's strata, such as markets or devices, are weighted
 * as in all arms together, so that an uneven deal of strata by chance adds no noise. The stratum must be known before the
 * unit is treated. A ratio is that of the two weighted means.
 */
import type { Estimate } from './estimate.ts';
import { type Moments, meanCovariance, pooled, type Quantity } from './quantity.ts';

/** The moments of one stratum in every arm, in the same order of arms throughout. */
export type Stratum<Name extends string> = readonly Moments<Name>[];

/**
 * The quantity of each arm; `undefined` for all where an arm has fewer than two units, or a denominator is 0. Strata
 * with fewer than two units in some arm are merged, and what is then still too small is added to the largest.
 */
export function postStratify<Name extends string>(
  strata: readonly Stratum<Name>[],
  quantity: Quantity<Name>,
): (Estimate | undefined)[] {
  const merged = mergeSmall(strata);
  const arms = strata[0]?.length ?? 0;
  const units = (stratum: Stratum<Name>) => stratum.reduce((total, arm) => total + arm.units, 0);
  const total = merged.reduce((sum, stratum) => sum + units(stratum), 0);
  return Array.from({ length: arms }, (_, at) => armOf(at));

  function armOf(at: number): Estimate | undefined {
    const own = merged.map((stratum) => ({ moments: stratum[at]!, weight: units(stratum) / total }));
    if (own.length === 0 || own.some(({ moments }) => moments.units < 2)) return undefined;
    return weighted(own, quantity);
  }
}

/** One arm's quantity from its strata and their weights. */
function weighted<Name extends string>(
  strata: readonly { moments: Moments<Name>; weight: number }[],
  { numerator: y, denominator: x, scale = 1 }: Quantity<Name>,
): Estimate | undefined {
  const total = (of: (moments: Moments<Name>) => number, power = 1) =>
    strata.reduce((sum, { moments, weight }) => sum + weight ** power * of(moments), 0);
  const mean = (measure: Name) => total((moments) => Number(moments.sum(measure)) / moments.units);
  const base = x === undefined ? 1 : mean(x);
  if (base === 0) return undefined;
  const ratio = mean(y) / base;
  const variance = total((moments) => {
    const own = meanCovariance(moments, y, y);
    if (x === undefined) return own;
    return own - 2 * ratio * meanCovariance(moments, x, y) + ratio ** 2 * meanCovariance(moments, x, x);
  }, 2);
  return {
    value: scale * ratio,
    variance: (scale / base) ** 2 * Math.max(0, variance),
    units: strata.reduce((sum, { moments }) => sum + moments.units, 0),
  };
}

function mergeSmall<Name extends string>(strata: readonly Stratum<Name>[]): Stratum<Name>[] {
  const small = (stratum: Stratum<Name>) => stratum.some(({ units }) => units < 2);
  const join = (parts: readonly Stratum<Name>[]): Stratum<Name> =>
    parts[0]!.map((_, arm) => pooled(parts.map((part) => part[arm]!)));
  const kept = strata.filter((stratum) => !small(stratum));
  const rest = strata.filter(small);
  if (rest.length === 0) return kept;
  const together = join(rest);
  if (!small(together) || kept.length === 0) return [...kept, together];
  const units = (stratum: Stratum<Name>) => stratum.reduce((total, arm) => total + arm.units, 0);
  const largest = kept.reduce((a, b) => (units(b) > units(a) ? b : a));
  return [...kept.filter((stratum) => stratum !== largest), join([largest, together])];
}
