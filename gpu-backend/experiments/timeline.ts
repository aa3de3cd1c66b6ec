/**
 * Traffic over time, by arm: answered queries and ads shown in equal steps of UTC, of the units that the report counts. Steps of
 * days are read from the rollups, shorter ones from the rows of the days that they cover. For the eye; nothing is inferred from it.
 */
import { sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { experimentUnits, exposures, impressions } from '../db/schema.ts';
import { readDayGrowth } from './arm-sums.ts';

const DAY_MS = 86_400_000;

/** Steps that people read off a clock. */
const STEPS_MS = [1_000, 10_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000];
/** Most points that a small chart can show apart. */
const MOST_POINTS = 60;

export interface TimelinePoint {
  /** Start of the step, UTC milliseconds. */
  atMs: number;
  arm: string;
  queries: number;
  shown: number;
}

export interface Timeline {
  stepMs: number;
  /** Every arm at every step from the first to the last, 0 where nothing happened; by time, then arm. */
  points: TimelinePoint[];
}

/** The shortest step that covers the span in at most {@link MOST_POINTS}; whole weeks beyond the table. */
export function stepFor(fromMs: number, toMs: number): number {
  const fits = (step: number) => Math.floor(toMs / step) - Math.floor(fromMs / step) < MOST_POINTS;
  const week = STEPS_MS.at(-1)!;
  return STEPS_MS.find(fits) ?? Math.ceil((toMs - fromMs) / (MOST_POINTS - 1) / week) * week;
}

interface Span {
  fromMs: number;
  toMs: number;
}

/** Number of the step, counted from the epoch, and what was in it. */
interface StepCount extends Omit<TimelinePoint, 'atMs'> {
  step: number;
}

/**
 * Counts the experiment's answered queries in [fromMs, toMs], which are the first and the last that its report counts. Bots and units
 * of several arms are left out.
 */
export async function timeline(
  db: Database,
  experiment: string,
  { fromMs, toMs, arms }: Span & { arms: readonly string[] },
): Promise<Timeline> {
  const stepMs = stepFor(fromMs, toMs);
  const found = await (stepMs < DAY_MS
    ? readRows(db, experiment, { fromMs, toMs, stepMs })
    : readDays(db, experiment, stepMs));
  const at = Map.groupBy(found, ({ step, arm }) => `${step} ${arm}`);
  const points: TimelinePoint[] = [];
  for (let step = Math.floor(fromMs / stepMs); step * stepMs <= toMs; step++) {
    for (const arm of arms) {
      const counts = at.get(`${step} ${arm}`) ?? [];
      const sum = (of: 'queries' | 'shown') => counts.reduce((total, each) => total + each[of], 0);
      points.push({ atMs: step * stepMs, arm, queries: sum('queries'), shown: sum('shown') });
    }
  }
  return { stepMs, points };
}

/** By the day, several to a step. */
async function readDays(db: Database, experiment: string, stepMs: number): Promise<StepCount[]> {
  const days = await readDayGrowth(db, experiment, { measures: ['queries', 'shown'], pairs: [] });
  return days.map(({ arm, step_ms: dayMs, queries, shown }) => ({
    step: Math.floor(dayMs / stepMs),
    arm,
    queries: Number(queries),
    shown: Number(shown),
  }));
}

/** The same from the rows, in steps of any length. */
export async function readRows(
  db: Database,
  experiment: string,
  { fromMs, toMs, stepMs }: Span & { stepMs: number },
): Promise<StepCount[]> {
  return rows<StepCount>(
    db,
    sql`select floor(extract(epoch from ${impressions.at}) * 1000 / ${stepMs}::float8)::float8 as step,
        ${exposures.arm} as arm, count(*)::float8 as queries, sum(${impressions.slotCount})::float8 as shown
      from ${exposures} join ${impressions} on ${impressions.id} = ${exposures.impressionId}
      where ${exposures.experiment} = ${experiment} and not ${impressions.bot}
        and ${impressions.at} between to_timestamp(${fromMs / 1000}::float8) and to_timestamp(${toMs / 1000}::float8)
        and not exists (select from ${experimentUnits} own
          where (own.experiment, own.unit_id) = (${exposures.experiment}, ${exposures.unitId}) and own.mixed)
      group by 1, 2`,
  );
}
