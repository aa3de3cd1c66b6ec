/**
 * What is read of one unit for a metric: a measure as the rollups hold it, of the unit's first days only, up to a cap, or
 * from before the experiment. Each has a name, under which its sums are asked for.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { MeasureName, SumMetric } from '../../shared/metric.ts';
import { experimentUnitDays, experimentUnits } from '../db/schema.ts';
import type { Quantity } from './estimators/quantity.ts';

export interface Column {
  measure: MeasureName;
  windowDays?: number | undefined;
  capQuantile?: number | undefined;
  /** Of the days before the experiment, under other experiments. */
  before?: boolean;
}

/** UTC days before an experiment's first query whose sums serve as covariates. */
export const BEFORE_DAYS = 28;

/** A plain measure is called as it is. */
export function nameOf({ measure, windowDays, capQuantile, before = false }: Column): string {
  const window = windowDays === undefined ? '' : ` of ${windowDays} days`;
  const cap = capQuantile === undefined ? '' : ` up to ${capQuantile}`;
  return `${measure}${before ? ' before' : ''}${window}${cap}`;
}

/** The columns of the metric: numerator, then denominator. */
export function columnsOf({ numerator, denominator, windowDays, capQuantile }: SumMetric): Column[] {
  const top = { measure: numerator, windowDays, capQuantile };
  return denominator === undefined ? [top] : [top, { measure: denominator, windowDays }];
}

/** Its covariate: the same from before, uncapped and over all days. */
export function covariateColumnsOf(metric: SumMetric): Column[] {
  return columnsOf(metric).map(({ measure }) => ({ measure, before: true }));
}

/** Columns as estimators read them. */
export function quantityOf([numerator, denominator]: readonly Column[], scale?: number): Quantity {
  return { numerator: nameOf(numerator!), denominator: denominator && nameOf(denominator), scale };
}

const list = (parts: readonly SQL[]) => sql.join([...parts], sql`, `);
const unique = <T>(items: readonly T[]) => [...new Set(items)];
const measures = (columns: readonly Column[]) => unique(columns.map(({ measure }) => measure));

/** Thresholds of capped columns, by name. */
export type Caps = ReadonlyMap<string, string>;

/**
 * One row a unit of the experiment with `unit_id`, `arm`, `mixed`, `bots`, `first`, `first_at`, `last_at`, `triggered` (`null` unless
 * all its queries have the counterfactual log) and the columns under their names. Columns whose threshold is not among
 * the caps are not cut.
 */
export function unitRows(experiment: string, columns: readonly Column[], caps: Caps = new Map()): SQL {
  const windows = unique(columns.flatMap(({ windowDays }) => windowDays ?? []));
  const past = measures(columns.filter(({ before }) => before));
  const seen = ['unit_id', 'arm', 'mixed', 'bots', 'first', 'first_at', 'last_at'].map(
    (name) => sql`units.${sql.identifier(name)}`,
  );
  const joins = windows.map((days) => {
    const within = columns.filter(({ windowDays }) => windowDays === days);
    return sql`left join (${firstDays(experiment, days, measures(within))}) ${sql.identifier(`first ${days}`)}
      on ${sql.identifier(`first ${days}`)}.unit_id = units.unit_id`;
  });
  if (past.length > 0)
    joins.push(sql`left join (${daysBefore(experiment, past)}) past on past.unit_id = units.unit_id`);
  const values = columns.map((column) => {
    const name = nameOf(column);
    const cap = caps.get(name);
    return sql`${cap === undefined ? read(column) : sql`least(${read(column)}, ${cap}::bigint)`} as ${sql.identifier(name)}`;
  });
  const triggered = sql`case when units.compared = units.queries then units.triggered > 0 end as triggered`;
  return sql`select ${list([...seen, triggered, ...values])}
    from ${experimentUnits} units ${sql.join(joins, sql` `)} where units.experiment = ${experiment}`;
}

function read({ measure, windowDays, before }: Column): SQL {
  const from = before ? 'past' : windowDays === undefined ? 'units' : `first ${windowDays}`;
  const value = sql`${sql.identifier(from)}.${sql.identifier(columnName(measure))}`;
  return from === 'units' ? value : sql`coalesce(${value}, 0)`;
}

const columnName = (measure: MeasureName) => experimentUnits[measure].name;

/** What a unit did within so many UTC days from its first on. */
function firstDays(experiment: string, days: number, of: readonly MeasureName[]): SQL {
  const sums = of.map(
    (name) => sql`sum(days.${sql.identifier(columnName(name))}) as ${sql.identifier(columnName(name))}`,
  );
  return sql`select days.unit_id, ${list(sums)} from ${experimentUnitDays} days
    join ${experimentUnits} own on own.experiment = days.experiment and own.unit_id = days.unit_id
    where days.experiment = ${experiment} and days.day < (own.first_at at time zone 'UTC')::date + ${days}::int
    group by days.unit_id`;
}

/**
 * What a unit did before the experiment's first day, seen through whichever experiments it then took part in. Several may
 * have counted the same query, so that of a day the greatest counts.
 */
function daysBefore(experiment: string, of: readonly MeasureName[]): SQL {
  const greatest = of.map(
    (name) => sql`max(${sql.identifier(columnName(name))}) as ${sql.identifier(columnName(name))}`,
  );
  const sums = of.map((name) => sql`sum(${sql.identifier(columnName(name))}) as ${sql.identifier(columnName(name))}`);
  return sql`select unit_id, ${list(sums)} from (
      select unit_id, day, ${list(greatest)} from ${experimentUnitDays},
        (select (min(first_at) at time zone 'UTC')::date as start from ${experimentUnits} where experiment = ${experiment}) begun
      where experiment <> ${experiment} and day < start and day >= start - ${BEFORE_DAYS}::int
      group by unit_id, day) days
    group by unit_id`;
}
