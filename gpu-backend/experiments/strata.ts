/**
 * What units are told apart by: facts of their first answered query, before any arm could change them, and whether an arm ever
 * could. In SQL, over a row of `experiment_units`.
 */
import { type SQL, sql } from 'drizzle-orm';

/** Where `first` has each; before them come the query's instant and id. */
export const PLACES = { market: 3, device: 4, colo: 5, cache: 6, consent: 7 } as const;

export type Dimension = keyof typeof PLACES;

/** What a stratum's key is made of, in this order, with spaces between. */
export const STRATUM = ['market', 'device', 'consent'] as const satisfies Dimension[];

/** Empty where it is not known. */
export const placeOf = (row: string, dimension: Dimension): SQL =>
  sql`coalesce(${sql.identifier(row)}.first[${sql.raw(String(PLACES[dimension]))}], '')`;

/** The stratum of a unit. */
export const stratumOf = (row: string): SQL =>
  sql.join(
    STRATUM.map((dimension) => placeOf(row, dimension)),
    sql` || ' ' || `,
  );

/** Whether another arm would ever have shown other ads: `yes`, `no`, or empty unless all its queries have the counterfactual log. */
export function triggeredOf(row: string): SQL {
  const of = (name: string) => sql`${sql.identifier(row)}.${sql.identifier(name)}`;
  return sql`case when ${of('compared')} <> ${of('queries')} then '' when ${of('triggered')} > 0 then 'yes' else 'no' end`;
}
