/**
 * What estimators read, and the value of a metric in one arm made from it. Everything here comes from sums over
 * independent units, so that raw events, rollups and simulations can be asked alike.
 */
import { ratioOfSums } from './delta.ts';
import { type Estimate, scaled } from './estimate.ts';
import { meanPerUnit } from './mean.ts';

/** Exact sums over the units of one arm, or of one stratum of it. */
export interface Moments<Name extends string = string> {
  units: number;
  /** Sum of a measure over the units. */
  sum(measure: Name): bigint;
  /** Sum over units of the product of two measures; the same in either order. */
  product(a: Name, b: Name): bigint;
}

/** A measure per unit, or the ratio of two measures' sums. */
export interface Quantity<Name extends string = string> {
  numerator: Name;
  denominator?: Name | undefined;
  /** The value is multiplied by it; 1 unless given. */
  scale?: number | undefined;
}

/** The quantity in one arm; `undefined` without units, or where its denominator is 0. */
export function estimateQuantity<Name extends string>(
  arm: Moments<Name> | undefined,
  { numerator: y, denominator: x, scale = 1 }: Quantity<Name>,
): Estimate | undefined {
  if (arm === undefined) return undefined;
  const { units } = arm;
  const of =
    x === undefined
      ? meanPerUnit({ units, sum: arm.sum(y), squares: arm.product(y, y) })
      : ratioOfSums({
          units,
          y: arm.sum(y),
          x: arm.sum(x),
          yy: arm.product(y, y),
          xy: arm.product(x, y),
          xx: arm.product(x, x),
        });
  return of && scaled(of, scale);
}

/** Covariance of the means per unit of two measures, of two units or more. */
export function meanCovariance<Name extends string>(arm: Moments<Name>, a: Name, b: Name): number {
  const { units } = arm;
  return Number(BigInt(units) * arm.product(a, b) - arm.sum(a) * arm.sum(b)) / (units ** 2 * (units - 1));
}

/**
 * Covariance of the estimates of two quantities over the same units: that of their influences (y - R x) / mean(x), of which
 * a mean is the case x = 1. `undefined` with fewer than two units or a denominator of 0.
 */
export function covarianceOf<Name extends string>(
  arm: Moments<Name>,
  a: Quantity<Name>,
  b: Quantity<Name>,
): number | undefined {
  const [left, right] = [influence(arm, a), influence(arm, b)];
  if (arm.units < 2 || left === undefined || right === undefined) return undefined;
  let total = 0;
  for (const [p, v] of left) for (const [q, w] of right) total += v * w * meanCovariance(arm, p, q);
  return total;
}

/** What a unit adds to the quantity, as a weighted sum of its measures. */
function influence<Name extends string>(
  arm: Moments<Name>,
  { numerator, denominator, scale = 1 }: Quantity<Name>,
): [Name, number][] | undefined {
  if (denominator === undefined) return [[numerator, scale]];
  const sum = Number(arm.sum(denominator));
  if (sum === 0) return undefined;
  const weight = (scale * arm.units) / sum;
  return [
    [numerator, weight],
    [denominator, (-weight * Number(arm.sum(numerator))) / sum],
  ];
}

/** Moments of the union of disjoint sets of units. */
export function pooled<Name extends string>(parts: readonly Moments<Name>[]): Moments<Name> {
  return {
    units: parts.reduce((total, { units }) => total + units, 0),
    sum: (measure) => parts.reduce((total, part) => total + part.sum(measure), 0n),
    product: (a, b) => parts.reduce((total, part) => total + part.product(a, b), 0n),
  };
}

/** Moments of units given one by one, each a record of whole numbers; a measure that a unit lacks is 0. */
export function momentsOf<Name extends string>(units: readonly Partial<Record<Name, number>>[]): Moments<Name> {
  return {
    units: units.length,
    sum: (measure) => units.reduce((total, unit) => total + BigInt(unit[measure] ?? 0), 0n),
    product: (a, b) => units.reduce((total, unit) => total + BigInt(unit[a] ?? 0) * BigInt(unit[b] ?? 0), 0n),
  };
}
