/**
 * Sums over units that the rollups keep (`experiment_arm_days`): by arm, stratum and whether triggered, and by how they grew
 * each day. Reading them costs the same for a thousand units and for a hundred million.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { MeasureName } from '../../shared/metric.ts';
import { type Database, rows } from '../db/connect.ts';
import { type ArmSum, experimentArmDays, productName } from '../db/schema.ts';

const list = (parts: readonly SQL[]) => sql.join([...parts], sql`, `);

/** The units, the measures, and the products of the pairs. */
function sumsOf(measures: readonly MeasureName[], pairs: readonly (readonly [string, string])[]): SQL {
  const names = new Set<string>(['units', ...measures, ...pairs.map(([a, b]) => productName(a, b))]);
  return list([...names].map((name) => sql`sum(${sql.identifier(name)})::text as ${sql.identifier(name)}`));
}

export interface Asked {
  measures: readonly MeasureName[];
  pairs: readonly (readonly [string, string])[];
}

/** Sums over the units of an arm and stratum that were triggered, were not, or may have been. */
export type ArmSums = { arm: string; stratum: string; triggered: 'yes' | 'no' | '' } & Record<ArmSum, string>;

/** A day on which nothing counts any more, since its units turned out to be mixed, has no queries. */
const counting = (experiment: string) => sql`${experimentArmDays} where experiment = ${experiment} and queries > 0`;

export async function readArmSums(db: Database, experiment: string, { measures, pairs }: Asked): Promise<ArmSums[]> {
  return rows<ArmSums>(
    db,
    sql`select arm, stratum, triggered, ${sumsOf(measures, pairs)}
      from ${counting(experiment)} group by arm, stratum, triggered`,
  );
}

/** How much each sum grew on a UTC day, whose start is `step_ms`. */
export type DayGrowth = { arm: string; step_ms: number } & Record<ArmSum, string>;

/** In order of the days. */
export async function readDayGrowth(
  db: Database,
  experiment: string,
  { measures, pairs }: Asked,
): Promise<DayGrowth[]> {
  return rows<DayGrowth>(
    db,
    sql`select arm, (extract(epoch from day) * 1000)::float8 as step_ms, ${sumsOf(measures, pairs)}
      from ${counting(experiment)} group by arm, day order by day, arm`,
  );
}

/** Units by arm and the UTC day of their first query. */
export async function readArrivals(
  db: Database,
  experiment: string,
): Promise<{ day: string; arm: string; units: number }[]> {
  return rows(
    db,
    sql`select to_char(day, 'YYYY-MM-DD') as day, arm, sum(units)::float8 as units
      from ${counting(experiment)} group by 1, 2 having sum(units) > 0 order by 1, 2`,
  );
}

/** Units that count: seen in one arm, and not only as bots. */
export async function countUnits(db: Database, experiment: string): Promise<number> {
  const [row] = await rows<{ units: number }>(
    db,
    sql`select coalesce(sum(units), 0)::float8 as units from ${counting(experiment)}`,
  );
  return row!.units;
}
