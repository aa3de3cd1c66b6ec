/**
 * What units are told apart by: facts of their first answered query, before any arm could change them, and whether an arm ever
 * could.
 */
import { type SQL, sql } from 'drizzle-orm';

/** What a stratum's key is made of, in this order, with spaces between; empty where it is not known. */
export const STRATUM = ['market', 'device', 'consent'] as const;
/** The same of where and how the query was answered: what an arm's plan may have had a part in. */
export const SERVED = ['colo', 'cache'] as const;

export type Dimension = (typeof STRATUM | typeof SERVED)[number];

/** Whether another arm would ever have shown other ads: `yes`, `no`, or empty unless all its queries have the counterfactual log. */
export function triggeredOf(row: string): SQL {
  const of = (name: string) => sql`${sql.identifier(row)}.${sql.identifier(name)}`;
  return sql`case when ${of('compared')} <> ${of('queries')} then '' when ${of('triggered')} > 0 then 'yes' else 'no' end`;
}
