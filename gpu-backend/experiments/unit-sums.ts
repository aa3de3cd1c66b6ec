/**
 * Sums over units that cannot be kept up as events come, because what counts of a unit depends on what it did first (a
 * window) or elsewhere (the days before), capped or not. They are made from one row per unit, in one statement. Whole
 * numbers all the way, so that neither the order of events nor that of the plan shows.
 */
import { type SQLWrapper, sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { productName } from '../db/schema.ts';
import { capsOf } from './caps.ts';
import { type Column, isKept, nameOf, unitRows } from './columns.ts';

export interface UnitSumsAsked {
  pairs: readonly (readonly [Column, Column])[];
  /** First UTC day of the experiment. */
  begun: string;
}

/** Below it a product of two fits a bigint, which is multiplied and summed several times faster than numeric. */
const SMALL = 2 ** 31;

/** The sum of `a * b`, exact whatever the numbers. */
function product(a: SQLWrapper, b: SQLWrapper) {
  return sql`(coalesce(sum(${a}::bigint * ${b}::bigint) filter (where small), 0)
      + coalesce(sum(${a}::numeric * ${b}) filter (where not small), 0))::text`;
}

/** By arm, stratum and whether triggered: sums of the columns that are not kept, and of products with them, under their names. */
export type UnitSums = { arm: string; stratum: string; triggered: string } & Record<string, string>;

/** Nothing where every column is kept. */
export async function readUnitSums(
  db: Database,
  experiment: string,
  { pairs: asked, begun }: UnitSumsAsked,
): Promise<UnitSums[]> {
  const pairs = asked.filter(([a, b]) => !isKept(a) || !isKept(b));
  if (pairs.length === 0) return [];
  const columns = [...new Map(pairs.flat().map((column) => [nameOf(column), column])).values()];
  const caps = await capsOf(db, experiment, columns);
  const names = columns.map((column) => sql.identifier(nameOf(column)));
  const sums = columns.filter((column) => !isKept(column)).map(nameOf);
  // a name of Postgres' has 63 bytes at most
  const results = [
    ...sums.map((name) => ({ name, value: sql`sum(${sql.identifier(name)})::text` })),
    ...pairs.map(([a, b]) => ({
      name: productName(nameOf(a), nameOf(b)),
      value: product(sql.identifier(nameOf(a)), sql.identifier(nameOf(b))),
    })),
  ].map((result, at) => ({ ...result, as: `sum ${at}` }));
  const found = await rows<UnitSums>(
    db,
    sql`select arm, stratum, triggered, ${sql.join(
      results.map(({ value, as }) => sql`${value} as ${sql.identifier(as)}`),
      sql`, `,
    )}
    from (select *, greatest(${sql.join(names, sql`, `)}) < ${SMALL}::bigint as small
      from (${unitRows(experiment, columns, { caps, begun })}) units where arm is not null and not mixed) units
    group by arm, stratum, triggered`,
  );
  return found.map((row) => ({
    arm: row.arm,
    stratum: row.stratum,
    triggered: row.triggered,
    ...Object.fromEntries(results.map(({ name, as }) => [name, row[as]!])),
  }));
}
