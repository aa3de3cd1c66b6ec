/**
 * Sums of capped columns: those of the plain measure, which the rollups keep, less what the units above a cap have beyond it.
 * There are few of these, so that one look through the units finds them and nothing is summed over the others. Exact.
 */
import { sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { experimentUnits, productName } from '../db/schema.ts';
import type { ArmSums } from './arm-sums.ts';
import { capsOf } from './caps.ts';
import { type Column, isKept, nameOf } from './columns.ts';
import { triggeredOf } from './strata.ts';

export type Pair = readonly [Column, Column];

/** Of a measure over all of a unit's days in the experiment: only the cap tells it from what the rollups keep. */
const isCapped = ({ capQuantile, windowDays, before }: Column) =>
  capQuantile !== undefined && windowDays === undefined && !before;

/** Whether the product is of capped columns, or of one and a kept one. */
export const isCappedPair = (pair: Pair): boolean =>
  pair.some(isCapped) && pair.every((column) => isCapped(column) || isKept(column));

const plain = ({ measure }: Column): Column => ({ measure });
const cappedOf = (pairs: readonly Pair[]) => [
  ...new Map(
    pairs
      .flat()
      .filter(isCapped)
      .map((column) => [nameOf(column), column]),
  ).values(),
];

/** The pairs without their caps. */
export const withoutCaps = (pairs: readonly Pair[]): Pair[] => pairs.map(([a, b]) => [plain(a), plain(b)]);

/** By arm, stratum and whether triggered: what caps take off sums and products, under the names of the capped ones. */
export type Excess = Pick<ArmSums, 'arm' | 'stratum' | 'triggered'> & Record<string, string>;

/** Where no unit is above a cap nothing is taken off, and there is no row. */
export async function readExcess(db: Database, experiment: string, pairs: readonly Pair[]): Promise<Excess[]> {
  const capped = cappedOf(pairs);
  const caps = await capsOf(db, experiment, capped);
  if (caps.size === 0) return [];
  const value = ({ measure }: Column) => sql`${experimentUnits[measure]}::numeric`;
  const cut = (column: Column) => {
    const cap = caps.get(nameOf(column));
    return cap === undefined ? value(column) : sql`least(${value(column)}, ${cap}::numeric)`;
  };
  const results = [
    ...capped.map((column) => ({ name: nameOf(column), excess: sql`${value(column)} - ${cut(column)}` })),
    ...pairs.map(([a, b]) => ({
      name: productName(nameOf(a), nameOf(b)),
      excess: sql`${value(a)} * ${value(b)} - ${cut(a)} * ${cut(b)}`,
    })),
  ].map((result, at) => ({ ...result, as: `excess ${at}` })); // a name of Postgres' has 63 bytes at most
  const above = capped.flatMap((column) => {
    const cap = caps.get(nameOf(column));
    return cap === undefined ? [] : [sql`${experimentUnits[column.measure]} > ${cap}::bigint`];
  });
  const found = await rows<Excess>(
    db,
    sql`select arm, stratum, ${triggeredOf('experiment_units')} as triggered, ${sql.join(
      results.map(({ excess, as }) => sql`sum(${excess})::text as ${sql.identifier(as)}`),
      sql`, `,
    )}
      from ${experimentUnits} where experiment = ${experiment} and arm is not null and not mixed and (${sql.join(above, sql` or `)})
      group by 1, 2, 3`,
  );
  return found.map(({ arm, stratum, triggered, ...row }) => ({
    arm,
    stratum,
    triggered,
    ...Object.fromEntries(results.map(({ name, as }) => [name, row[as]!])),
  })) as Excess[];
}

/** Sums of the capped columns and products of the pairs; `kept` has those of the measures, `excess` is absent where caps take nothing off. */
export function cappedSums(
  pairs: readonly Pair[],
  kept: Readonly<Record<string, string>>,
  excess: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const less = (name: string, of: string) => [name, String(BigInt(kept[of]!) - BigInt(excess?.[name] ?? 0))] as const;
  return Object.fromEntries([
    ...cappedOf(pairs).map((column) => less(nameOf(column), column.measure)),
    ...pairs.map(([a, b]) => less(productName(nameOf(a), nameOf(b)), productName(a.measure, b.measure))),
  ]);
}
