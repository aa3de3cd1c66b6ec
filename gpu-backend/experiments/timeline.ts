/** Traffic over time, by arm: answered queries and ads shown in equal steps of UTC. For the eye; nothing is inferred from it. */
import { sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { exposures, impressions } from '../db/schema.ts';

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

/** Counts the experiment's answered queries in [fromMs, toMs], bots left out. */
export async function timeline(
  db: Database,
  experiment: string,
  { fromMs, toMs, arms }: { fromMs: number; toMs: number; arms: readonly string[] },
): Promise<Timeline> {
  const stepMs = stepFor(fromMs, toMs);
  const found = await rows<{ step: number; arm: string; queries: number; shown: number }>(
    db,
    sql`select floor(extract(epoch from ${impressions.at}) * 1000 / ${stepMs}::float8)::float8 as step,
        ${exposures.arm} as arm, count(*)::float8 as queries, sum(${impressions.slotCount})::float8 as shown
      from ${exposures} join ${impressions} on ${impressions.id} = ${exposures.impressionId}
      where ${exposures.experiment} = ${experiment} and not ${impressions.bot}
        and ${impressions.at} between to_timestamp(${fromMs / 1000}::float8) and to_timestamp(${toMs / 1000}::float8)
      group by 1, 2`,
  );
  const at = new Map(found.map((row) => [`${row.step} ${row.arm}`, row]));
  const points: TimelinePoint[] = [];
  for (let step = Math.floor(fromMs / stepMs); step * stepMs <= toMs; step++) {
    for (const arm of arms) {
      const { queries = 0, shown = 0 } = at.get(`${step} ${arm}`) ?? {};
      points.push({ atMs: step * stepMs, arm, queries, shown });
    }
  }
  return { stepMs, points };
}
