/**
 * What metrics are made of: whole numbers, 0 or more, that are summed over a unit's rows, by declaration. A new one
 * needs its name in shared/metric.ts, a line here, and a column in the rollups (db/schema.ts).
 */
import { type SQL, sql } from 'drizzle-orm';
import type { MeasureName } from '../../shared/metric.ts';
import { clicks, conversions, impressions, judgements } from '../db/schema.ts';

export type { MeasureName };

/** The kind of row that a measure sums over; clicks of bots never count. A judgement is one of an ad that was shown. */
export type Source = 'impression' | 'click' | 'conversion' | 'judgement';

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
  /** Answered queries that took their candidates from a cache. */
  cached: { from: 'impression', value: sql`(${impressions.cacheStatus} not in ('miss', 'bypass'))::int` },
  /** Ads shown that somebody has judged beside the query. */
  judged: { from: 'judgement', value: sql`1` },
  /** Of them, those that have nothing to do with it. */
  defects: { from: 'judgement', value: sql`(not ${judgements.relevant})::int` },
} as const satisfies Record<MeasureName, Measure>;
