/**
 * From events to sufficient statistics: per arm the sums over units of each measure and of products of measures, in one
 * statement. Rows become units in SQL, units become sums in SQL; whole numbers all the way, so neither the order of events
 * nor that of the plan shows in the result.
 *
 * A unit counts under the arm that it was exposed to. Rows of bots are left out, and so are units that were seen in more
 * than one arm (a lost cookie, a changed definition), since they were treated with both; both are counted.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { clicks, conversions, exposures, impressions } from '../db/schema.ts';
import { MEASURES, type Measure, type MeasureName, type Source } from './measures.ts';
import type { Metric } from './metrics.ts';

export interface ArmRollup {
  arm: string;
  units: number;
  queries: number;
  /** Sum of a measure over the arm. */
  sum(measure: MeasureName): bigint;
  /** Sum over units of the product of two measures. */
  product(a: MeasureName, b: MeasureName): bigint;
}

export interface Rollup {
  /** Arms that have units, by key. */
  arms: Map<string, ArmRollup>;
  /** First and last answered query counted, UTC milliseconds. */
  fromMs: number | undefined;
  toMs: number | undefined;
  /** Answered queries of bots. */
  bots: number;
  /** Units seen in several arms. */
  mixedUnits: number;
}

type Row = { arm: string | null; from_ms: number | null; to_ms: number | null } & Record<string, string>;

/** Whole milliseconds of an instant, exact in a double. */
const millis = (at: SQL) => sql`round(extract(epoch from ${at}) * 1000)::float8`;

/** Name of a pair, the same in either order. */
const pair = (a: MeasureName, b: MeasureName) => [a, b].sort().join('*');

/** The products of measures that the metrics' variances are made of. */
function pairsOf(metrics: readonly Metric[]): [MeasureName, MeasureName][] {
  const pairs = new Map<string, [MeasureName, MeasureName]>();
  for (const { numerator: y, denominator: x } of metrics) {
    const needed: [MeasureName, MeasureName][] =
      x === undefined
        ? [[y, y]]
        : [
            [y, y],
            [x, y],
            [x, x],
          ];
    for (const [a, b] of needed) pairs.set(pair(a, b), [a, b]);
  }
  return [...pairs.values()];
}

const join = (parts: SQL[]) => sql.join(parts, sql`, `);
const column = (name: string) => sql.identifier(name);

/** Rows of each source that belong to an exposure. Joined row by row over primary keys, which needs no table statistics. */
const EXPOSED: Record<Source, SQL> = {
  impression: sql`${exposures} join ${impressions} on ${impressions.id} = ${exposures.impressionId}`,
  click: sql`${clicks} join ${exposures} on ${exposures.impressionId} = ${clicks.impressionId}
    join ${impressions} on ${impressions.id} = ${exposures.impressionId} and not ${clicks.bot}`,
  conversion: sql`${conversions} join ${clicks} on ${clicks.id} = ${conversions.clickId} and not ${clicks.bot}
    join ${exposures} on ${exposures.impressionId} = ${clicks.impressionId}
    join ${impressions} on ${impressions.id} = ${exposures.impressionId}`,
};

/** One row a unit, arm and source, with every measure as a column; 0 for those of other sources. */
function facts(source: Source, { experiment, measures }: { experiment: string; measures: MeasureName[] }): SQL {
  const values = measures.map((name) => {
    const measure: Measure = MEASURES[name];
    return sql`${measure.from === source ? sql`sum(${measure.value})` : sql`0`}::numeric as ${column(name)}`;
  });
  return sql`select ${exposures.unitId} as unit_id, ${exposures.arm} as arm, ${impressions.bot} as bot,
      min(${impressions.at}) as first_at, max(${impressions.at}) as last_at, ${join(values)}
    from ${EXPOSED[source]} where ${exposures.experiment} = ${experiment} group by 1, 2, 3`;
}

/** Aggregates the experiment's events into what the metrics need. */
export async function rollUp(db: Database, experiment: string, metrics: readonly Metric[]): Promise<Rollup> {
  const used = metrics.flatMap(({ numerator: y, denominator: x }) => (x === undefined ? [y] : [y, x]));
  const measures = [...new Set<MeasureName>(['queries', ...used])];
  const sources = new Set(measures.map((name) => MEASURES[name].from));
  const found = await rows<Row>(
    db,
    sql`with facts as materialized (
        ${sql.join(
          [...sources].map((source) => facts(source, { experiment, measures })),
          sql` union all `,
        )}),
      units as (
        select unit_id, arm, min(first_at) as first_at, max(last_at) as last_at,
          count(*) over (partition by unit_id) as arms,
          ${join(measures.map((name) => sql`sum(${column(name)}) as ${column(name)}`))}
        from facts where not bot group by unit_id, arm),
      totals as (
        select arm, count(*)::text as units, ${millis(sql`min(first_at)`)} as from_ms, ${millis(sql`max(last_at)`)} as to_ms,
          ${join(measures.map((name) => sql`sum(${column(name)})::text as ${column(name)}`))},
          ${join(pairsOf(metrics).map(([a, b]) => sql`sum(${column(a)} * ${column(b)})::text as ${column(pair(a, b))}`))}
        from units where arms = 1 group by arm)
      select totals.*, excluded.* from (select
          (select coalesce(sum(queries), 0) from facts where bot)::text as bots,
          (select count(distinct unit_id) from units where arms > 1)::text as mixed_units) excluded
        left join totals on true`,
  );

  const arms = new Map<string, ArmRollup>();
  for (const row of found) {
    if (row.arm === null) continue;
    arms.set(row.arm, {
      arm: row.arm,
      units: Number(row.units),
      queries: Number(row.queries),
      sum: (measure) => BigInt(row[measure]!),
      product: (a, b) => BigInt(row[pair(a, b)]!),
    });
  }
  const times = found.filter((row) => row.arm !== null);
  return {
    arms,
    fromMs: times.length === 0 ? undefined : Math.min(...times.map((row) => row.from_ms!)),
    toMs: times.length === 0 ? undefined : Math.max(...times.map((row) => row.to_ms!)),
    bots: Number(found[0]!.bots),
    mixedUnits: Number(found[0]!.mixed_units),
  };
}
