/** A split of the market as rankings are judged on it: queries with their judgements, and which ads each query may get. */
import type { Ad } from '../../shared/contract/ads.ts';
import { HarnessError } from '../../shared/problem.ts';
import { normalize } from '../../shared/text.ts';
import type { DatasetFolder, QueryRow } from '../data/records.ts';
import { type Judgements, RELEVANT } from './metrics.ts';

/** A query that rankings can be judged on. */
export interface JudgedQuery extends QueryRow {
  readonly normalized: string;
  readonly judgements: Judgements;
  /** What is known of the query offline: for the teacher alone. */
  readonly context?: string;
}

/**
 * The queries of a split that have at least one relevant ad, and how many have none. A split is held in memory: people judged it.
 * A query that comes twice counts once.
 */
export async function judgedQueries(
  dataset: DatasetFolder,
  split: 'validation' | 'test',
): Promise<{ queries: JudgedQuery[]; withoutRelevant: number }> {
  const grades = new Map<string, Map<string, number>>();
  for await (const { queryId, adId, grade } of dataset.read(`qrels.${split}.jsonl`)) {
    const judged = grades.get(queryId) ?? new Map<string, number>();
    grades.set(queryId, judged.set(adId, grade));
  }
  const contexts = new Map<string, string>();
  for await (const { queryId, text } of dataset.read(`oracle.${split}.jsonl`)) contexts.set(queryId, text);
  const queries = new Map<string, JudgedQuery>();
  const withoutRelevant = new Set<string>();
  for await (const query of dataset.read(`queries.${split}.jsonl`)) {
    const judgements = grades.get(query.id);
    const context = contexts.get(query.id);
    if (judgements && [...judgements.values()].some((grade) => grade >= RELEVANT))
      queries.set(query.id, {
        ...query,
        normalized: normalize(query.text),
        judgements,
        ...(context === undefined ? {} : { context }),
      });
    else withoutRelevant.add(query.id);
  }
  return { queries: [...queries.values()], withoutRelevant: withoutRelevant.size };
}

/** Whether an ad may be shown to a query: active, and booked in the query's market. */
export const mayShow = (ad: Ad, query: QueryRow): boolean =>
  ad.status === 'active' && ad.markets.includes(query.market);

/** Ads in the order of a bundle's vectors. @throws HarnessError where the catalogue lacks one. */
export function adsInOrder(ads: readonly Ad[], ids: readonly string[]): Ad[] {
  const byId = new Map(ads.map((ad) => [ad.id, ad]));
  return ids.map((id) => {
    const ad = byId.get(id);
    if (!ad)
      throw new HarnessError(
        'bundle_damaged',
        `ad ${id} of the bundle is not in the catalogue: bundle and data do not belong together.`,
      );
    return ad;
  });
}
