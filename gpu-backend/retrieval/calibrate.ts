/**
 * From raw scores to a relevance that a plan can cut at and an auction can multiply with: a logistic map (Platt, 1999) of
 * the cosine and the lexical coverage, fitted on validation queries by the recipe and carried by the bundle's manifest.
 * A purely lexical plan has no cosine; its relevance is the coverage itself.
 */
import type { Manifest } from '../../shared/bundle.ts';

export type Calibration = Manifest['calibration'];

export interface Evidence {
  cosine: number;
  /** Share of the query's information that the ad's words match, 0 to 1 (shared/coverage.ts). */
  coverage: number;
}

/** Probability that a judge calls a pair with this evidence relevant, 0 to 1. */
export function relevanceOf({ cosine, coverage }: Evidence, calibration: Calibration): number {
  const { slope, intercept, coverage: weight } = calibration;
  return 1 / (1 + Math.exp(-(slope * cosine + weight * coverage + intercept)));
}
