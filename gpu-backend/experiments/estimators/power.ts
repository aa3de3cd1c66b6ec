/**
 * How many units an experiment needs, and what it can find with those it gets: the two-sided test of a difference of means
 * in the normal limit, both tails counted. What is planned is the standard deviation of a unit, so the same holds for
 * ratios (the deviation of their influences) and for adjusted values.
 */
import normalCdf from '@stdlib/stats-base-dists-normal-cdf';
import normalQuantile from '@stdlib/stats-base-dists-normal-quantile';
import { sequenceCritical } from './sequence.ts';

export interface Design {
  /** The metric's value in the control. */
  baseline: number;
  /** Standard deviation of a unit: standard error times the root of the units. */
  deviation: number;
  /** Share of the units in the treatment, in (0, 1); half unless given. */
  treatmentShare?: number;
  /** Correlation with a covariate that the report adjusts for (cuped.ts); 0 unless given. */
  correlation?: number;
  confidence: number;
  /** Plans for a confidence sequence read to the end (sequence.ts), tuned for the units planned. */
  anytime?: boolean;
}

/** Probability of finding a relative effect with `units` in both arms together. */
export function power(design: Design, { relative, units }: { relative: number; units: number }): number {
  const shift = (Math.abs(relative) * design.baseline) / standardError(design, units);
  const critical = criticalOf(design);
  return normalCdf(shift - critical, 0, 1) + normalCdf(-shift - critical, 0, 1);
}

/** Units of both arms together that find a relative effect with the given power, rounded up. */
export function unitsFor(design: Design, { relative, power }: { relative: number; power: number }): number {
  return Math.ceil((shiftFor(design, power) * (standardError(design, 1) / (relative * design.baseline))) ** 2);
}

/** The smallest relative effect that `units` in both arms together find with the given power. */
export function detectable(design: Design, { units, power }: { units: number; power: number }): number {
  return (shiftFor(design, power) * standardError(design, units)) / design.baseline;
}

function standardError({ deviation, treatmentShare = 0.5, correlation = 0 }: Design, units: number): number {
  return deviation * Math.sqrt((1 - correlation ** 2) / (units * treatmentShare * (1 - treatmentShare)));
}

/** A sequence's half-width at the units it is tuned for does not depend on their number. */
function criticalOf({ confidence, anytime = false }: Design): number {
  return anytime ? sequenceCritical(1, { confidence, tunedUnits: 1 }) : normalQuantile((1 + confidence) / 2, 0, 1);
}

/** Effect in standard errors that is found with the given power: Newton's steps on the power, which both tails make up. */
function shiftFor(design: Design, wanted: number): number {
  const critical = criticalOf(design);
  let shift = Math.max(critical + normalQuantile(wanted, 0, 1), 0.1);
  for (let step = 0; step < 100; step++) {
    const reached = normalCdf(shift - critical, 0, 1) + normalCdf(-shift - critical, 0, 1);
    const slope =
      (Math.exp(-((shift - critical) ** 2) / 2) - Math.exp(-((shift + critical) ** 2) / 2)) / Math.sqrt(2 * Math.PI);
    const move = (wanted - reached) / slope;
    shift += move;
    if (Math.abs(move) <= 1e-13 * shift) break;
  }
  return shift;
}
