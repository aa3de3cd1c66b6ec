/** A split of the market as rankings are judged on it: queries with their judgements, and which ads each query may get. */
import type { Ad } from '../../shared/contract/ads.ts';
import { normalize } from '../../shared/text.ts';
import type { DatasetFolder, QueryRow } from '../data/records.ts';
import { type Judgements, RELEVANT } from './metrics.ts';

export interface JudgedQuery extends QueryRow {
  readonly normalized: string;
  readonly judgements: Judgements;
}

/** The queries of a split that have at least one relevant ad, and how many have none. */
export async function judgedQueries(
  dataset: DatasetFolder,
  split: 'validation' | 'test',
): Promise<{ queries: JudgedQuery[]; withoutRelevant: number }> {
  const grades = new Map<string, Map<string, number>>();
  for await (const { queryId, adId, grade } of dataset.read(`qrels.${split}.jsonl`)) {
    const judged = grades.get(queryId) ?? new Map<string, number>();
    grades.set(queryId, judged.set(adId, grade));
  }
  const queries: JudgedQuery[] = [];
  let withoutRelevant = 0;
  for await (const query of dataset.read(`queries.${split}.jsonl`)) {
    const judgements = grades.get(query.id);
    if (judgements && [...judgements.values()].some((grade) => grade >= RELEVANT))
      queries.push({ ...query, normalized: normalize(query.text), judgements });
    else withoutRelevant++;
  }
  return { queries, withoutRelevant };
}

/** Whether an ad may be shown to a query: active, and booked in the query's market. */
export const mayShow = (ad: Ad, query: QueryRow): boolean =>
  ad.status === 'active' && ad.markets.includes(query.market);
