/**
 * From rollups to sufficient statistics: per arm the sums over units of each measure and of products of measures, in one
 * statement over one row a unit. Whole numbers all the way, so neither the order of events nor that of the plan shows.
 *
 * A unit counts under the arm that it was exposed to. Rows of bots are left out, and so are units that were seen in more
 * than one arm (a lost cookie, a changed definition), since they were treated with both; both are counted.
 */
import { type SQL, sql } from 'drizzle-orm';
import { isSum, type Metric } from '../../shared/metric.ts';
import { type Database, rows } from '../db/connect.ts';
import { experimentArmDays, experimentUnits } from '../db/schema.ts';
import { capsOf } from './caps.ts';
import { BEFORE_DAYS, type Column, columnsOf, covariateColumnsOf, nameOf, quantityOf, unitRows } from './columns.ts';
import type { Estimate } from './estimators/estimate.ts';
import { estimateQuantity, type Moments, pooled } from './estimators/quantity.ts';
import { advance } from './rollup-advance.ts';
import { type RowQuantiles, readRowQuantiles } from './row-quantiles.ts';

export interface ArmRollup extends Moments {
  arm: string;
  queries: number;
}

export interface Rollup {
  /** Arms that have units, by key. */
  arms: Map<string, ArmRollup>;
  /** The same apart by the market, device and consent of the unit's first query: moments by arm, by stratum. */
  strata: Map<string, Map<string, Moments>>;
  /** Of the units whose every query has the counterfactual log: whether another arm would ever have shown other ads. */
  compared: { triggered: Map<string, Moments>; rest: Map<string, Moments> };
  /** What is no sum over units. */
  quantiles: RowQuantiles;
  /** Whether units were seen before the experiment, so that the covariate columns say something. */
  before: boolean;
  /** First and last answered query counted, UTC milliseconds. */
  fromMs: number | undefined;
  toMs: number | undefined;
  /** Answered queries of bots. */
  bots: number;
  /** Units seen in several arms. */
  mixedUnits: number;
}

type Row = {
  arm: string | null;
  mixed: boolean;
  triggered: boolean | null;
  stratum: string;
  from_ms: number | null;
  to_ms: number | null;
} & Record<string, string>;

/** Whole milliseconds of an instant, exact in a double. */
const millis = (at: SQL) => sql`round(extract(epoch from ${at}) * 1000)::float8`;

/** Name of a pair, the same in either order. */
const pair = (a: string, b: string) => [a, b].sort().join('*');

/** The products of columns that the variances and covariances of the metrics are made of. */
export function pairsOf(groups: readonly Column[][]): [string, string][] {
  const pairs = new Map<string, [string, string]>();
  for (const columns of groups) {
    const names = columns.map(nameOf);
    for (const a of names) for (const b of names) pairs.set(pair(a, b), [a, b]);
  }
  return [...pairs.values()];
}

/** Below it a product of two fits a bigint, which is summed several times faster than numeric. */
const SMALL = 2 ** 31;

/** Sums over the units that are small in every column, or over the others; whatever the numbers, they are exact. */
function sums(units: SQL, { columns, pairs, small }: { columns: string[]; pairs: [string, string][]; small: boolean }) {
  const names = columns.map((name) => sql.identifier(name));
  const product = ([a, b]: [string, string]) =>
    small
      ? sql`${sql.identifier(a)}::bigint * ${sql.identifier(b)}::bigint`
      : sql`${sql.identifier(a)}::numeric * ${sql.identifier(b)}`;
  return sql`select arm, mixed, triggered,
      coalesce(first[3], '') || ' ' || coalesce(first[4], '') || ' ' || coalesce(first[7], '') as stratum,
      count(*)::text as units, sum(bots)::text as bots,
      ${millis(sql`min(first_at)`)} as from_ms, ${millis(sql`max(last_at)`)} as to_ms,
      ${sql.join(
        [
          ...names.map((name) => sql`sum(${name})::text as ${name}`),
          ...pairs.map((each, at) => sql`sum(${product(each)})::text as ${sql.identifier(`product ${at}`)}`),
        ],
        sql`, `,
      )}
    from (${units}) units where (greatest(${sql.join(names, sql`, `)}) < ${SMALL}::bigint) = ${small}
    group by 1, 2, 3, 4`;
}

/** The statistics that the metrics need, of all events stored so far. */
export async function rollUp(db: Database, experiment: string, metrics: readonly Metric[]): Promise<Rollup> {
  await advance(db);
  const before = await seenBefore(db, experiment);
  const groups = metrics
    .filter(isSum)
    .map((metric) => [...columnsOf(metric), ...(before ? covariateColumnsOf(metric) : [])]);
  const read = [...new Map([{ measure: 'queries' } as Column, ...groups.flat()].map((c) => [nameOf(c), c])).values()];
  const pairs = pairsOf(groups);
  const units = unitRows(experiment, read, await capsOf(db, experiment, read));
  const columns = read.map(nameOf);
  const [found, quantiles] = await Promise.all([
    rows<Row>(
      db,
      sql`${sums(units, { columns, pairs, small: true })} union all ${sums(units, { columns, pairs, small: false })}`,
    ),
    readRowQuantiles(
      db,
      experiment,
      metrics.filter((metric) => !isSum(metric)),
    ),
  ]);
  const counted = found.filter(({ arm, mixed }) => arm !== null && !mixed);
  const place = new Map(pairs.map(([a, b], at) => [pair(a, b), `product ${at}`]));
  const momentsIn = (row: Row): Moments => ({
    units: Number(row.units),
    sum: (column) => BigInt(row[column]!),
    product: (a, b) => BigInt(row[place.get(pair(a, b))!]!),
  });
  const strata = new Map<string, Map<string, Moments>>();
  for (const row of counted.toSorted((a, b) => (a.stratum < b.stratum ? -1 : 1))) {
    if (!strata.has(row.stratum)) strata.set(row.stratum, new Map());
    const stratum = strata.get(row.stratum)!;
    const known = stratum.get(row.arm!);
    stratum.set(row.arm!, known === undefined ? momentsIn(row) : pooled([known, momentsIn(row)]));
  }
  const compared = (triggered: boolean) =>
    new Map(
      [
        ...Map.groupBy(
          counted.filter((row) => row.triggered === triggered),
          ({ arm }) => arm!,
        ),
      ].map(([arm, found]) => [arm, pooled(found.map(momentsIn))] as const),
    );
  const arms = new Set(counted.map(({ arm }) => arm!));
  const times = counted.map(({ from_ms, to_ms }) => [from_ms!, to_ms!] as const);
  const total = (of: readonly Row[], name: 'units' | 'bots') => of.reduce((sum, row) => sum + Number(row[name]), 0);
  return {
    arms: new Map(
      [...arms].map((arm) => {
        const moments = pooled([...strata.values()].flatMap((stratum) => stratum.get(arm) ?? []));
        return [arm, { ...moments, arm, queries: Number(moments.sum('queries')) }];
      }),
    ),
    strata,
    compared: { triggered: compared(true), rest: compared(false) },
    quantiles,
    before,
    fromMs: times.length === 0 ? undefined : Math.min(...times.map(([from]) => from)),
    toMs: times.length === 0 ? undefined : Math.max(...times.map(([, to]) => to)),
    bots: total(found, 'bots'),
    mixedUnits: total(
      found.filter(({ mixed }) => mixed),
      'units',
    ),
  };
}

/** A metric's value in an arm; `undefined` without units, or where its denominator is 0. */
export function estimateMetric({ arms, quantiles }: Rollup, metric: Metric, arm: string): Estimate | undefined {
  return isSum(metric)
    ? estimateQuantity(arms.get(arm), quantityOf(columnsOf(metric), metric.scale))
    : quantiles.get(metric.key)?.get(arm);
}

/** Whether any unit at all was seen in the days that covariates come from. */
async function seenBefore(db: Database, experiment: string): Promise<boolean> {
  const [row] = await rows<{ seen: boolean }>(
    db,
    sql`select exists (select from ${experimentArmDays},
        (select (min(first_at) at time zone 'UTC')::date as start from ${experimentUnits} where experiment = ${experiment}) begun
      where experiment <> ${experiment} and day < start and day >= start - ${BEFORE_DAYS}::int) as seen`,
  );
  return row!.seen;
}
