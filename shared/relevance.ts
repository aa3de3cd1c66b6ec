/**
 * From raw scores to a relevance that a plan can cut at and an auction can multiply with: a logistic map (Platt, 1999) of what
 * is known of a pair of query and ad. The recipe fits it on validation queries, the bundle's manifest carries it.
 */
import * as z from 'zod';

/** What is known of a pair. */
export interface Evidence {
  cosine: number;
  /** Share of the query's information that the ad's words match, 0 to 1 (shared/coverage.ts). */
  coverage: number;
  /** The greatest coverage of any ad of the market: where no ad has the query's words, lacking them says nothing. */
  bestCoverage: number;
}

export const RelevanceMap = z.lazy(() =>
  z.strictObject({
    cosine: z.number(),
    coverage: z.number(),
    bestCoverage: z.number(),
    intercept: z.number(),
  }),
);
export type RelevanceMap = z.infer<typeof RelevanceMap>;

export const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** Probability that a judge calls the pair relevant, 0 to 1. */
export function relevanceOf(evidence: Evidence, map: RelevanceMap): number {
  const { cosine, coverage, bestCoverage, intercept } = map;
  return logistic(
    cosine * evidence.cosine + coverage * evidence.coverage + bestCoverage * evidence.bestCoverage + intercept,
  );
}
