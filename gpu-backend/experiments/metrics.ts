/**
 * What an experiment is judged by: a measure (measures.ts) per unit, or the ratio of two. Declarations only: rollup,
 * estimators, report and pages work from this table, so a new line here is a new metric everywhere.
 */
import type { MetricReport } from '../../shared/contract/experiments.ts';
import type { MeasureName } from './measures.ts';

export interface Metric {
  key: string;
  title: string;
  /** Title of the arm's sum, where reports show that too. */
  totalTitle?: string;
  numerator: MeasureName;
  /** Absent: the metric is the mean of the numerator over units. */
  denominator?: MeasureName;
  /** The value is multiplied by it, for shares shown per thousand. */
  scale?: number;
  unit: MetricReport['unit'];
  /** Which way is better. */
  direction: MetricReport['direction'];
}

/** In the order in which reports show them. */
export const METRICS: readonly Metric[] = [
  {
    key: 'revenue',
    title: 'Revenue per unit',
    totalTitle: 'Revenue',
    numerator: 'revenue',
    unit: 'micros',
    direction: 'increase',
  },
  {
    key: 'rpm',
    title: 'Revenue per 1,000 queries',
    numerator: 'revenue',
    denominator: 'queries',
    scale: 1_000,
    unit: 'micros',
    direction: 'increase',
  },
  {
    key: 'impressions',
    title: 'Ads shown per unit',
    totalTitle: 'Ads shown',
    numerator: 'shown',
    unit: 'count',
    direction: 'increase',
  },
  {
    key: 'clicks',
    title: 'Clicks per unit',
    totalTitle: 'Clicks',
    numerator: 'clicks',
    unit: 'count',
    direction: 'increase',
  },
  {
    key: 'ctr',
    title: 'Clicks per ad shown (CTR)',
    numerator: 'clicks',
    denominator: 'shown',
    unit: 'ratio',
    direction: 'increase',
  },
  {
    key: 'coverage',
    title: 'Queries with an ad',
    numerator: 'covered',
    denominator: 'queries',
    unit: 'ratio',
    direction: 'increase',
  },
  {
    key: 'ads_per_query',
    title: 'Ads per query',
    numerator: 'shown',
    denominator: 'queries',
    unit: 'count',
    direction: 'increase',
  },
  {
    key: 'conversions',
    title: 'Conversions per unit',
    totalTitle: 'Conversions',
    numerator: 'conversions',
    unit: 'count',
    direction: 'increase',
  },
  { key: 'queries', title: 'Queries per unit', numerator: 'queries', unit: 'count', direction: 'none' },
];
