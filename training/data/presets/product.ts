/** Product search seen as ad search: a product is an ad of a shop that bids the same for all, a judged query one of unknown frequency. */
import { Ad } from '../../../shared/contract/ads.ts';
import { MICROS } from '../../../shared/money.ts';
import type { Column } from '../mapping.ts';

/** Their columns of a product. */
export interface ProductColumns {
  /** Names the shop. */
  readonly dataset: string;
  /** Two lower-case letters. */
  readonly market: string;
  readonly id: string;
  readonly title: string;
  /** The first that is not empty is taken; none at all is allowed. */
  readonly description: readonly string[];
}

/**
 * The catalogue's columns. Titles and descriptions are cut to what an ad may hold; bids are neutral, and there are no
 * keywords.
 */
export function productAd({ dataset, market, id, title, description }: ProductColumns): Record<string, Column> {
  const constants = {
    advertiserId: dataset,
    campaignId: dataset,
    displayUrl: `${dataset}.example`,
    landingUrl: `https://${dataset}.example/`,
    keywords: [],
    markets: [market],
    bidMicros: MICROS,
    dailyBudgetMicros: 1_000 * MICROS,
    status: 'active',
  };
  return {
    ...Object.fromEntries(Object.entries(constants).map(([field, constant]) => [field, { constant }])),
    id,
    title: { column: title, plain: true, maxLength: Ad.shape.title.maxLength! },
    description: { column: description, default: '', plain: true, maxLength: Ad.shape.description.maxLength! },
  };
}

/** The columns of a judged query. Nothing is known of its frequency, and all of its products were there in training. */
export const judgedQuery = ({
  id,
  text,
  market,
}: {
  id: string;
  text: string;
  market: string;
}): Record<string, Column> => ({
  id,
  text,
  market: { constant: market },
  frequency: { constant: 1 },
  slice: { constant: 'interpolation' },
  kind: { constant: 'query' },
});
