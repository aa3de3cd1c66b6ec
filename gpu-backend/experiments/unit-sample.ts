/**
 * The units whose rows are read one by one: those with the smallest hashes, so that they are the same in whatever order
 * events came. They are read once per report, for the trust checks and for quantiles of times. A unit need not be a
 * visitor, and may have any number of queries (a query that everybody asks, a market's hour), so that there is a bound
 * for these, too.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { QuantileMetric } from '../../shared/metric.ts';
import { type Database, millis, rows } from '../db/connect.ts';
import { clicks, conversions, experimentUnits, exposures, impressions } from '../db/schema.ts';
import type { SampledUnit } from './checks/evidence.ts';
import { CONVERSION_MS } from './checks/late-events.ts';

/** Units at most, and queries from which on no further unit is taken. */
const [SAMPLED_UNITS, SAMPLED_QUERIES] = [2_000, 1_000_000];
/** Tens of thousands of years. */
const MOST_AGE_MS = 1e15;

/** Rows of `unit_id` and `arm`, of units that count: seen in one arm, and not only as bots. */
export const sampledUnits = (experiment: string): SQL =>
  sql`select unit_id, arm from (
        select ${experimentUnits.unitId} as unit_id, ${experimentUnits.arm} as arm, ${experimentUnits.queries} as queries,
          sum(${experimentUnits.queries}) over (order by md5(${experimentUnits.unitId}), ${experimentUnits.unitId}) as so_far
        from ${experimentUnits}
        where ${experimentUnits.experiment} = ${experiment} and ${experimentUnits.arm} is not null and not ${experimentUnits.mixed}
        order by md5(${experimentUnits.unitId}), ${experimentUnits.unitId} limit ${SAMPLED_UNITS}) units
      where so_far - queries < ${SAMPLED_QUERIES} order by md5(unit_id), unit_id`;

/** Queries of the sampled units, those of bots left out: joins from `picked` to impressions. */
export const sampledQueries = (experiment: string): SQL =>
  sql`join ${exposures} on ${exposures.experiment} = ${experiment} and ${exposures.unitId} = picked.unit_id
        join ${impressions} on ${impressions.id} = ${exposures.impressionId} and not ${impressions.bot}`;

type Time = QuantileMetric['of'];

/**
 * A sampled unit with the times of its queries, in milliseconds, as far as they were asked for, and with the instants of its clicks, UTC
 * milliseconds.
 */
export type UnitRecord = Omit<SampledUnit, 'leaks' | 'openClicks'> & { unitId: string; clickedMs: number[] } & Partial<
    Record<Time, number[]>
  >;

/** What the sampled units did, in the order of their hashes. */
export async function readSample(db: Database, experiment: string, times: readonly Time[]): Promise<UnitRecord[]> {
  const window = sql`${`${CONVERSION_MS} milliseconds`}::interval`;
  const hit = sql`cache_status not in ('miss', 'bypass')`;
  // Whole and bounded: its sums do not depend on an order, and no absurd age makes one that Postgres refuses.
  const age = sql`least(greatest(round(age_ms), 0), ${MOST_AGE_MS})::numeric`;
  const names = times.map((time) => sql.identifier(time));
  const each = (of: (name: SQL, at: number) => SQL) =>
    sql.join(names.map((name, at) => sql`, ${of(sql`${name}`, at)}`));
  return rows<UnitRecord>(
    db,
    sql`with picked as (${sampledUnits(experiment)}),
      shown as materialized (
        select picked.unit_id, picked.arm, ${impressions.id} as id, ${impressions.at} as at, ${impressions.query} as query,
          ${impressions.unitId} as visitor, ${impressions.cacheStatus} as cache_status, ${impressions.cacheAgeMs} as age_ms${each((name, at) => sql`${impressions[times[at]!]} as ${name}`)}
        from picked ${sampledQueries(experiment)}),
      clicked as materialized (
        select shown.unit_id, shown.at as shown_at, ${clicks.id} as id, ${clicks.at} as at
        from shown join ${clicks} on ${clicks.impressionId} = shown.id and not ${clicks.bot}),
      per_query as (
        select unit_id, arm, count(*)::float8 as queries, count(*) filter (where ${hit})::float8 as hits,
          coalesce(sum(${age}) filter (where ${hit}), 0)::float8 as age_ms,
          (count(*) - count(distinct (at, query, visitor)))::float8 as duplicates${each((name) => sql`json_agg(${name}) as ${name}`)}
        from shown group by 1, 2),
      per_click as (
        select unit_id, count(*)::float8 as clicks, count(*) filter (where at < shown_at)::float8 as early,
          json_agg(${millis(sql`at`)}) as clicked_ms from clicked group by 1),
      per_conversion as (
        select clicked.unit_id, count(*)::float8 as conversions,
          count(*) filter (where ${conversions.at} < clicked.at)::float8 as early,
          count(*) filter (where ${conversions.at} > clicked.at + ${window})::float8 as late
        from clicked join ${conversions} on ${conversions.clickId} = clicked.id group by 1)
      select unit_id as "unitId", arm, queries, hits, age_ms as "ageMs", duplicates, coalesce(clicks, 0) as clicks,
        coalesce(per_click.early, 0) as "earlyClicks", coalesce(clicked_ms, '[]') as "clickedMs",
        coalesce(conversions, 0) as conversions, coalesce(per_conversion.early, 0) as "earlyConversions",
        coalesce(late, 0) as "lateConversions"${each((name) => name)}
      from per_query left join per_click using (unit_id) left join per_conversion using (unit_id)
      order by md5(unit_id), unit_id`,
  );
}
