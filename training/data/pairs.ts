/** Clicked pairs of the log: which ad a query's people chose, drawn in proportion to its clicks an impression. */
import { normalize } from '../../shared/text.ts';
import type { DatasetFolder } from './records.ts';

export interface ClickedQuery {
  /** Normalized. */
  readonly text: string;
  readonly market: string;
  /** Rows of the catalogue, and how attractive each was: clicks an impression. */
  readonly ads: readonly { readonly row: number; readonly weight: number }[];
}

/** The training queries with a click, in the order of the log; ads that the catalogue no longer has are passed over. */
export async function clickedQueries(dataset: DatasetFolder, adIds: readonly string[]): Promise<ClickedQuery[]> {
  const rowOf = new Map(adIds.map((id, row) => [id, row]));
  const clicked = new Map<string, { row: number; weight: number }[]>();
  for await (const { queryId, adId, impressions, clicks } of dataset.read('clicks.train.jsonl')) {
    const row = rowOf.get(adId);
    if (row === undefined || clicks === 0) continue;
    const ads = clicked.get(queryId) ?? [];
    ads.push({ row, weight: clicks / Math.max(impressions, clicks) });
    clicked.set(queryId, ads);
  }
  const queries: ClickedQuery[] = [];
  for await (const { id, text, market } of dataset.read('queries.train.jsonl')) {
    const ads = clicked.get(id);
    if (ads) queries.push({ text: normalize(text), market, ads });
  }
  return queries;
}

/** One of a query's ads, by weight. @param random Uniform in [0, 1). */
export function drawAd({ ads }: ClickedQuery, random: () => number): number {
  let point = random() * ads.reduce((sum, { weight }) => sum + weight, 0);
  for (const { row, weight } of ads) {
    point -= weight;
    if (point < 0) return row;
  }
  return ads.at(-1)!.row;
}
