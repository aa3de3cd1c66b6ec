/**
 * What is read of one unit for a metric: a measure as the rollups hold it, of the unit's first days only, up to a cap, or
 * from before the experiment. Each has a name, under which its sums are asked for.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { MeasureName, SumMetric } from '../../shared/metric.ts';
import { experimentUnitDays, experimentUnits } from '../db/schema.ts';
import type { Quantity } from './estimators/quantity.ts';
import { triggeredOf } from './strata.ts';

export interface Column {
  measure: MeasureName;
  windowDays?: number | undefined;
  capQuantile?: number | undefined;
  /** Of the days before the experiment, under other experiments. */
  before?: boolean;
}

/** UTC days before an experiment's first query whose sums serve as covariates. */
const BEFORE_DAYS = 28;

/** Whether the rollups keep its sums (arm-sums.ts); those of the others are made from one row per unit (unit-sums.ts). */
export const isKept = ({ windowDays, capQuantile, before }: Column): boolean =>
  windowDays === undefined && capQuantile === undefined && !before;

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

export interface UnitRowsOptions {
  /** Columns whose threshold is not among them are not cut. */
  caps?: Caps;
  /** First UTC day of the experiment; needed for columns from before. */
  begun?: string;
}

/**
 * One row per unit of the experiment with `unit_id`, `arm`, `mixed`, `stratum`, `triggered` (strata.ts) and the columns
 * under their names.
 */
export function unitRows(
  experiment: string,
  columns: readonly Column[],
  { caps = new Map(), begun }: UnitRowsOptions = {},
): SQL {
  const windows = unique(columns.flatMap(({ windowDays }) => windowDays ?? []));
  const past = measures(columns.filter(({ before }) => before));
  const joins = windows.map((days) => {
    const within = columns.filter(({ windowDays }) => windowDays === days);
    return sql`left join (${firstDays(experiment, days, measures(within))}) ${sql.identifier(`first ${days}`)}
      on ${sql.identifier(`first ${days}`)}.unit_id = units.unit_id`;
  });
  if (past.length > 0)
    joins.push(sql`left join (${daysBefore(experiment, begun!, past)}) past on past.unit_id = units.unit_id`);
  const values = columns.map((column) => {
    const name = nameOf(column);
    const cap = caps.get(name);
    return sql`${cap === undefined ? read(column) : sql`least(${read(column)}, ${cap}::bigint)`} as ${sql.identifier(name)}`;
  });
  return sql`select units.unit_id, units.arm, units.mixed, units.stratum,
      ${triggeredOf('units')} as triggered, ${list(values)}
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
function daysBefore(experiment: string, begun: string, of: readonly MeasureName[]): SQL {
  const greatest = of.map(
    (name) => sql`max(${sql.identifier(columnName(name))}) as ${sql.identifier(columnName(name))}`,
  );
  const sums = of.map((name) => sql`sum(${sql.identifier(columnName(name))}) as ${sql.identifier(columnName(name))}`);
  return sql`select unit_id, ${list(sums)} from (
      select unit_id, day, ${list(greatest)} from ${experimentUnitDays}
      where experiment <> ${experiment} and ${isBefore(begun)} group by unit_id, day) days
    group by unit_id`;
}

/** Whether a rollup's day is one that covariates come from. */
export const isBefore = (begun: string): SQL =>
  sql`day < ${begun}::date and day >= ${begun}::date - ${BEFORE_DAYS}::int`;
