/**
 * Where relevance ends, judged by the query's cosines alone: a cosine means something else for each query, so an ad's
 * is read beside the query's best ones and its length ("cosine adapter": Rossi et al., "Relevance Filtering for
 * Embedding-based Retrieval", 2024). The recipe fits it on validation queries, the bundle's manifest carries it.
 */
import * as z from 'zod';
import { terms } from './coverage.ts';
import { logistic } from './relevance.ts';

/** What a query's cosines say of each of them. */
export interface QueryCosines {
  /** Greatest cosine of what was considered. */
  bestCosine: number;
  /** Mean of the ten greatest, missing ones as 0. */
  meanCosine: number;
  /** Distinct terms of the query, as a share of eight, 1 at most. */
  words: number;
}

const NEAREST = 10;
const LONG_QUERY = 8;

/** @param cosines Of all ads that were considered, in any order. */
export function queryCosines(query: string, cosines: Iterable<number>): QueryCosines {
  const best = Float64Array.from(cosines).sort().reverse().subarray(0, NEAREST);
  return {
    bestCosine: best[0] ?? 0,
    meanCosine: best.reduce((sum, cosine) => sum + cosine, 0) / NEAREST,
    words: Math.min(1, terms(query).length / LONG_QUERY),
  };
}

/** Weights of the logistic map. */
export const CosineAdapter = z.lazy(() =>
  z.strictObject({
    cosine: z.number(),
    bestCosine: z.number(),
    meanCosine: z.number(),
    words: z.number(),
    intercept: z.number(),
  }),
);
export type CosineAdapter = z.infer<typeof CosineAdapter>;

/** Probability that a judge calls an ad of this cosine relevant, 0 to 1. */
export function adapted(
  cosine: number,
  { bestCosine, meanCosine, words }: QueryCosines,
  adapter: CosineAdapter,
): number {
  return logistic(
    adapter.cosine * cosine +
      adapter.bestCosine * bestCosine +
      adapter.meanCosine * meanCosine +
      adapter.words * words +
      adapter.intercept,
  );
}
