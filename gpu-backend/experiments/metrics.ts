/**
 * What an experiment is judged by. A measure is a whole number that is summed over a unit's rows; a metric is a measure per
 * unit, or the ratio of two. Both are declarations: rollup, estimators, report and pages work from these two tables, so a
 * new line here is a new metric everywhere.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { MetricReport } from '../../shared/contract/experiments.ts';
import { clicks, conversions, impressions } from '../db/schema.ts';

/** The kind of row that a measure sums over; clicks of bots never count. */
export type Source = 'impression' | 'click' | 'conversion';

export interface Measure {
  from: Source;
  /** A whole number for each row of the source, in SQL. */
  value: SQL;
}

export const MEASURES = {
  /** Answered queries. */
  queries: { from: 'impression', value: sql`1` },
  /** Answered queries with at least one ad. */
  covered: { from: 'impression', value: sql`(${impressions.slotCount} > 0)::int` },
  /** Ads shown. */
  shown: { from: 'impression', value: sql`${impressions.slotCount}` },
  clicks: { from: 'click', value: sql`1` },
  /** Micros charged for clicks. */
  revenue: { from: 'click', value: sql`${clicks.chargeMicros}` },
  conversions: { from: 'conversion', value: sql`1` },
  /** Micros that advertisers say their conversions are worth. */
  conversionValue: { from: 'conversion', value: sql`${conversions.valueMicros}` },
} as const satisfies Record<string, Measure>;

export type MeasureName = keyof typeof MEASURES;

export interface Metric {
  key: string;
  title: string;
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
  { key: 'impressions', title: 'Ads shown per unit', numerator: 'shown', unit: 'count', direction: 'increase' },
  { key: 'clicks', title: 'Clicks per unit', numerator: 'clicks', unit: 'count', direction: 'increase' },
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
  { key: 'conversions', title: 'Conversions per unit', numerator: 'conversions', unit: 'count', direction: 'increase' },
  { key: 'queries', title: 'Queries per unit', numerator: 'queries', unit: 'count', direction: 'none' },
];
