/**
 * From a raw score to a relevance that a plan can cut at and an auction can multiply with. The dense map is logistic
 * (Platt, 1999), fitted on validation queries by the recipe and carried by the bundle's manifest; the lexical one is the
 * coverage that retrieval/lexical.ts computes.
 */
export interface Calibration {
  slope: number;
  intercept: number;
}

/** Probability that a judge calls a pair of this cosine relevant, 0 to 1. */
export function relevanceOfCosine(cosine: number, { slope, intercept }: Calibration): number {
  return 1 / (1 + Math.exp(-(slope * cosine + intercept)));
}
