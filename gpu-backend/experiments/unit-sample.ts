/** The units whose rows are read one by one: those with the smallest hashes, so that they are the same in whatever order events came. */
import { type SQL, sql } from 'drizzle-orm';
import { experimentUnits } from '../db/schema.ts';

const SAMPLED_UNITS = 2_000;

/** Units that count: seen in one arm, and not only as bots. */
export const counted = (experiment: string): SQL =>
  sql`${experimentUnits.experiment} = ${experiment} and ${experimentUnits.arm} is not null and not ${experimentUnits.mixed}`;

/** Rows of `unit_id` and `arm`. */
export const sampledUnits = (experiment: string): SQL =>
  sql`select ${experimentUnits.unitId} as unit_id, ${experimentUnits.arm} as arm
      from ${experimentUnits} where ${counted(experiment)}
      order by md5(${experimentUnits.unitId}), ${experimentUnits.unitId} limit ${SAMPLED_UNITS}`;
