/**
 * Triggered analysis (arXiv 2112.13299): where another arm would have shown the same ads, the arms are alike, and such
 * units add noise but no effect. Units with at least one query that the counterfactual log calls triggered are
 * compared; what that means for everybody follows from diluting it by the rest, which both arms share.
 */
import type { Estimate } from '../estimators/estimate.ts';
import { type Moments, meanCovariance, type Quantity } from '../estimators/quantity.ts';

export interface Dilution<Name extends string> {
  /** Units of both arms that were never triggered. */
  rest: Moments<Name>;
  /** Share of triggered units among all units of both arms. */
  share: number;
}

/** The share of triggered units in both arms together. */
export function triggeredShare(triggered: readonly { units: number }[], rest: { units: number }): number {
  const units = triggered.reduce((sum, arm) => sum + arm.units, 0);
  return units / (units + rest.units);
}

/**
 * The quantity over everybody, had all triggered units been in this arm. Its variance is that of the triggered units: the
 * rest is the same in every arm and drops out of a comparison. `undefined` without triggered units, or a denominator of 0.
 */
export function dilutedEstimate<Name extends string>(
  triggered: Moments<Name>,
  { numerator, denominator, scale = 1 }: Quantity<Name>,
  { rest, share }: Dilution<Name>,
): Estimate | undefined {
  const { units } = triggered;
  if (units === 0) return undefined;
  const mean = (name: Name) =>
    (share * Number(triggered.sum(name))) / units +
    (rest.units === 0 ? 0 : ((1 - share) * Number(rest.sum(name))) / rest.units);
  const x = denominator === undefined ? 1 : mean(denominator);
  if (x === 0) return undefined;
  const ratio = mean(numerator) / x;
  if (units < 2) return { value: scale * ratio, variance: undefined, units };
  const own = meanCovariance(triggered, numerator, numerator);
  const spread =
    denominator === undefined
      ? own
      : own -
        2 * ratio * meanCovariance(triggered, numerator, denominator) +
        ratio ** 2 * meanCovariance(triggered, denominator, denominator);
  return { value: scale * ratio, variance: ((scale * share) / x) ** 2 * spread, units };
}
