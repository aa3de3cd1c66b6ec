/**
 * Amazon's Shopping Queries Dataset (ESCI): difficult product queries with judgements Exact, Substitute, Complement, Irrelevant.
 * Schema: github.com/amazon-science/esci-data; paper: Reddy et al., arXiv 2206.06588. Apache-2.0. Two Parquet files.
 */
import { join } from 'node:path';
import type { Sources } from '../dataset.ts';
import type { Column } from '../mapping.ts';
import { judgedQuery, productAd } from './product.ts';

export interface EsciOptions {
  /** Folder with the two published Parquet files. */
  readonly folder: string;
  /** Products and queries of one language. */
  readonly locale?: 'us' | 'es' | 'jp';
  /** The reduced version, made for ranking, or all examples. */
  readonly version?: 'small' | 'large';
  /** Share of the training queries that become the validation split. */
  readonly validationShare?: number;
}

const GRADES = { E: 3, S: 2, C: 1, I: 0 };
const CLICKS = { E: 1, S: 0, C: 0, I: 0 };

/** Products are the catalogue; of the published training split, queries by hash are validation, and Exact counts as clicked. */
export function esci({ folder, locale = 'us', version = 'small', validationShare = 0.05 }: EsciOptions): Sources {
  const examples = join(folder, 'shopping_queries_dataset_examples.parquet');
  const ofLocale = { product_locale: locale, [`${version}_version`]: 1 };
  const training = { ...ofLocale, split: 'train' };
  const validation = { of: 'query', from: 0, to: validationShare };
  const rest = { of: 'query', from: validationShare, to: 1 };
  const test = { ...ofLocale, split: 'test' };

  const query = judgedQuery({ id: 'query_id', text: 'query', market: locale });
  const judged = (outcome: Record<string, Column>) => ({ queryId: 'query_id', adId: 'product_id', ...outcome });
  const clicks = judged({ impressions: { constant: 1 }, clicks: { column: 'esci_label', values: CLICKS } });
  const grades = judged({ grade: { column: 'esci_label', values: GRADES } });
  return {
    catalogue: {
      files: join(folder, 'shopping_queries_dataset_products.parquet'),
      where: { product_locale: locale },
      columns: productAd({
        dataset: 'esci',
        market: locale,
        id: 'product_id',
        title: 'product_title',
        description: ['product_description', 'product_bullet_point'],
      }),
    },
    'queries.train': { files: examples, where: training, share: rest, distinct: 'query_id', columns: query },
    'queries.validation': { files: examples, where: training, share: validation, distinct: 'query_id', columns: query },
    'queries.test': { files: examples, where: test, distinct: 'query_id', columns: query },
    'clicks.train': { files: examples, where: training, share: rest, columns: clicks },
    'qrels.validation': { files: examples, where: training, share: validation, columns: grades },
    'qrels.test': { files: examples, where: test, columns: grades },
  };
}
