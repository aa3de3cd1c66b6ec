/** Queries' vectors ranked against the ads, and what the rankings are worth. */
import type { Ad } from '../../shared/contract/ads.ts';
import { type JudgedQuery, mayShow } from './market.ts';
import { mean, measure, type Scores } from './metrics.ts';
import type { ExactSearch, Hit } from './search.ts';

export interface RankOptions {
  /** Of the rows that are searched, in their order. */
  readonly ads: readonly Ad[];
  readonly queries: readonly JudgedQuery[];
  /** Of the rankings. */
  readonly k: number;
}

/** The k best ads that each query may get. @param vectors Of the queries, float32 [queries, dimension], rows of length 1. */
export const rank = (search: ExactSearch, vectors: Float32Array, { ads, queries, k }: RankOptions): Promise<Hit[][]> =>
  search.search(vectors, { k, allowed: (query, row) => mayShow(ads[row]!, queries[query]!) });

/** Measures of each query's ranking; metrics that look deeper than `k` are of the first k. */
export async function scored(search: ExactSearch, vectors: Float32Array, options: RankOptions): Promise<Scores[]> {
  const { ads, queries } = options;
  return (await rank(search, vectors, options)).map((hits, i) =>
    measure(
      hits.map(({ row }) => ads[row]!.id),
      queries[i]!.judgements,
    ),
  );
}

/** What a first page is judged by, averaged over queries. */
export const firstPage = (scores: readonly Scores[]): Record<'p10' | 'ndcg10', number> => ({
  p10: mean(scores.map(({ p10 }) => p10)),
  ndcg10: mean(scores.map(({ ndcg10 }) => ndcg10)),
});
