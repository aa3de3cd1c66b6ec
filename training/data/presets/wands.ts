/**
 * Wayfair's annotation dataset (WANDS): furniture queries with judgements Exact, Partial, Irrelevant.
 * Schema: github.com/wayfair/WANDS; paper: Chen et al., ECIR 2022. MIT. Three files, tab-separated whatever their ending says.
 */
import { join } from 'node:path';
import type { Sources } from '../dataset.ts';
import type { Source } from '../mapping.ts';
import { judgedQuery, productAd } from './product.ts';

export interface WandsOptions {
  /** Folder with product.csv, query.csv and label.csv. */
  readonly folder: string;
  /** Shares of the queries that become test and validation: the dataset comes without splits. */
  readonly testShare?: number;
  readonly validationShare?: number;
}

// Partial is most of what was judged: only Exact counts as relevant, Partial counts for nDCG.
const GRADES = { Exact: 3, Partial: 1, Irrelevant: 0 };
const CLICKS = { Exact: 1, Partial: 0, Irrelevant: 0 };
const MARKET = 'us';

/** Products are the catalogue; queries are dealt to the splits by hash of their id, the one thing that labels know of them. */
export function wands({ folder, testShare = 0.4, validationShare = 0.1 }: WandsOptions): Sources {
  const file = (name: string) => ({ files: join(folder, name), format: 'tsv' as const });
  const share = (from: number, to: number) => ({ share: { of: 'query_id', from, to } });
  const test = share(0, testShare);
  const validation = share(testShare, testShare + validationShare);
  const train = share(testShare + validationShare, 1);

  const columns = judgedQuery({ id: 'query_id', text: 'query', market: MARKET });
  const queries: Source = { ...file('query.csv'), columns };
  const pair = { queryId: 'query_id', adId: 'product_id' };
  const grade = { column: 'label', values: GRADES };
  const judgements: Source = { ...file('label.csv'), columns: { ...pair, grade } };
  const clicks = { impressions: { constant: 1 }, clicks: { column: 'label', values: CLICKS } };
  return {
    catalogue: {
      ...file('product.csv'),
      columns: productAd({
        dataset: 'wands',
        market: MARKET,
        id: 'product_id',
        title: 'product_name',
        description: ['product_description', 'product_class'],
      }),
    },
    'queries.train': { ...queries, ...train },
    'queries.validation': { ...queries, ...validation },
    'queries.test': { ...queries, ...test },
    'clicks.train': { ...file('label.csv'), columns: { ...pair, ...clicks }, ...train },
    'qrels.validation': { ...judgements, ...validation },
    'qrels.test': { ...judgements, ...test },
  };
}
