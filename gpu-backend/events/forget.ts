/**
 * Events that are kept no longer: those of before an instant, or all of one visitor. What the rollups made of them stays, so the
 * sums of reports do; what reports read from rows goes (docs/operations.md). Impressions go in batches with all that hangs on them,
 * each batch in one statement, so that whoever is interrupted begins anew and finds the rest.
 */
import { randomUUID } from 'node:crypto';
import { type SQL, sql } from 'drizzle-orm';
import { HarnessError } from '../../shared/problem.ts';
import { type Database, rows } from '../db/connect.ts';
import {
  clicks,
  conversions,
  experiments,
  experimentUnitDays,
  experimentUnits,
  exposures,
  impressions,
  missingExposures,
} from '../db/schema.ts';
import { requireStorable } from '../db/storable.ts';
import { advance, lockRollups, watermark } from '../experiments/rollup-advance.ts';

/**
 * Younger events are not forgotten by age: a queue may deliver them once more, and they would count twice. Longer than
 * queues keep messages (14 days) and than conversions come after their click (7).
 */
const YOUNGEST_DAYS = 30;
const DAY_MS = 86_400_000;
const BATCH = 5_000;

interface ForgetOptions {
  beforeMs: number;
  all?: boolean;
  /** Impressions a statement. */
  batch?: number;
  now: () => number;
}

/** Rows that are gone. */
export interface Forgotten {
  impressions: number;
  exposures: number;
  clicks: number;
  conversions: number;
}

export interface ForgottenUnit extends Forgotten {
  /** Impressions of the visitor that are still there, and so nothing is renamed yet. */
  kept: number;
  /** Rows of the rollups. */
  renamed: number;
}

export interface ForgottenByAge extends Forgotten {
  /** Impressions of before the instant that are still there, and the experiments that have not ended before it. */
  kept: number;
  experiments: string[];
}

const NONE: Forgotten = { impressions: 0, exposures: 0, clicks: 0, conversions: 0 };
const sum = (a: Forgotten, b: Forgotten): Forgotten => ({
  impressions: a.impressions + b.impressions,
  exposures: a.exposures + b.exposures,
  clicks: a.clicks + b.clicks,
  conversions: a.conversions + b.conversions,
});

/** In a `with` that has `looked`, ids and transactions of impressions: those that are in the rollups up to `rolledUp` with all that hangs on them. */
const settled = (rolledUp: SQL) => sql`
  settled as materialized (
    select id from looked where xact < ${rolledUp} and not exists (
      select from ${clicks} left join ${conversions} on ${conversions.clickId} = ${clicks.id}
      where ${clicks.impressionId} = looked.id and (${clicks.xact} >= ${rolledUp} or ${conversions.xact} >= ${rolledUp})))`;

/**
 * Ends a `with` that has `free`, the ids of impressions that go, and `exposed`, the ids and experiments of exposures that do.
 * Exposures that were missing until their impression came would be again without it.
 */
const deleted = sql`
  clicked as materialized (select ${clicks.id} as id from ${clicks} join free on free.id = ${clicks.impressionId}),
  gone_conversions as (delete from ${conversions} using clicked where ${conversions.clickId} = clicked.id returning 1),
  gone_clicks as (delete from ${clicks} using clicked where ${clicks.id} = clicked.id returning 1),
  gone_exposures as (delete from ${exposures} using exposed
    where (${exposures.impressionId}, ${exposures.experiment}) = (exposed.impression_id, exposed.experiment) returning 1),
  found_after_all as (delete from ${missingExposures} using free where ${missingExposures.impressionId} = free.id),
  gone_impressions as (delete from ${impressions} using free where ${impressions.id} = free.id returning 1)`;
const counts = sql`(select count(*)::int from gone_impressions) as impressions, (select count(*)::int from gone_exposures) as exposures,
  (select count(*)::int from gone_clicks) as clicks, (select count(*)::int from gone_conversions) as conversions`;

/**
 * Deletes what happened before `beforeMs`. The rows of an experiment go together, once it has ended and its last query was
 * before: reports of half of them would tell something else than their sums. An impression stays as long as one of its
 * experiments needs it. With `all`, experiments that have not ended lose theirs, too. Throws `bad_request` for an instant
 * that is less than {@link YOUNGEST_DAYS} days ago.
 */
export async function forgetBefore(
  db: Database,
  { beforeMs, all = false, batch: size = BATCH, now }: ForgetOptions,
): Promise<ForgottenByAge> {
  const latestMs = now() - YOUNGEST_DAYS * DAY_MS;
  if (!(beforeMs <= latestMs)) {
    const day = (atMs: number) => new Date(atMs).toISOString().slice(0, 10);
    throw new HarnessError(
      'bad_request',
      `before: expected a day up to ${day(latestMs)}, got ${day(beforeMs)}: younger events may be delivered once more.`,
    );
  }
  const before = sql`${new Date(beforeMs).toISOString()}::timestamptz`;
  const rolledUp = await rollUp(db);
  const needing = all ? [] : await needed(db, before);
  const needy = sql`(select jsonb_array_elements_text(${JSON.stringify(needing)}::text::jsonb))`;
  let [gone, looked] = [NONE, 0];
  for (let last: { at: string; id: string } | undefined; ; ) {
    const from =
      last === undefined
        ? sql``
        : sql`and (${impressions.at}, ${impressions.id}) > (${last.at}::timestamptz, ${last.id})`;
    const [row] = await rows<Forgotten & { looked: number; at: string | null; id: string | null }>(
      db,
      sql`with looked as materialized (
          select ${impressions.id} as id, ${impressions.at} as at, ${impressions.xact} as xact from ${impressions}
          where ${impressions.at} < ${before} ${from} order by ${impressions.at}, ${impressions.id} limit ${size}),
        ${settled(rolledUp)},
        taken as materialized (
          select ${exposures.impressionId} as impression_id, ${exposures.experiment} as experiment,
            ${exposures.experiment} in ${needy} as needed
          from ${exposures} join settled on settled.id = ${exposures.impressionId}),
        exposed as (select impression_id, experiment from taken where not needed),
        free as materialized (select id from settled where not exists (select from taken where impression_id = settled.id and needed)),
        ${deleted}
        select ${counts}, (select count(*)::int from looked) as looked, last.at::text as at, last.id
        from (values (1)) one left join (select at, id from looked order by at desc, id desc limit 1) last on true`,
    );
    const { looked: count, at, id, ...batch } = row!;
    gone = sum(gone, batch);
    looked += count;
    if (count < size) break;
    last = { at: at!, id: id! };
  }
  return { ...sum(gone, await forgetOrphans(db, before)), kept: looked - gone.impressions, experiments: needing };
}

/** Brings the rollups up; gives the number of transactions below which all is in. */
async function rollUp(db: Database): Promise<SQL> {
  await advance(db);
  return sql`${String((await watermark(db)).transaction)}::xid8`;
}

/** Experiments that run, or ended later. */
async function needed(db: Database, before: SQL): Promise<string[]> {
  const found = await rows<{ key: string }>(
    db,
    sql`select key from ${experiments} where status not in ('stopped', 'archived') or exists (
          select from ${experimentUnits} own where own.experiment = ${experiments.key} and own.last_at >= ${before})
        order by key`,
  );
  return found.map(({ key }) => key);
}

/** Clicks whose impression never came, or is gone, and conversions whose click is: nobody counts them. */
async function forgetOrphans(db: Database, before: SQL): Promise<Forgotten> {
  const [row] = await rows<Forgotten>(
    db,
    sql`with gone_clicks as (
          delete from ${clicks} where ${clicks.at} < ${before}
            and not exists (select from ${impressions} where ${impressions.id} = ${clicks.impressionId}) returning ${clicks.id}),
        gone_conversions as (
          delete from ${conversions} where ${conversions.at} < ${before} and (
            not exists (select from ${clicks} where ${clicks.id} = ${conversions.clickId})
            or ${conversions.clickId} in (select id from gone_clicks)) returning 1)
        select 0 as impressions, 0 as exposures, (select count(*)::int from gone_clicks) as clicks,
          (select count(*)::int from gone_conversions) as conversions`,
  );
  return row!;
}

/**
 * Deletes what is stored of a visitor. In the rollups the unit goes on under a random name, the same in all experiments, so
 * that no sum moves and nothing leads from the visitor to it; seen again it is another unit. What came just now stays, and
 * the name with it, until the next call. Throws `bad_request` for text that no unit id can be.
 */
export async function forgetUnit(db: Database, unitId: string): Promise<ForgottenUnit> {
  requireStorable(unitId, 'unit');
  const rolledUp = await rollUp(db);
  const theirs = sql`${impressions} where ${impressions.unitId} = ${unitId}`;
  const found = await rows<{ id: string }>(
    db,
    sql`select ${impressions.id} as id from ${theirs} and ${impressions.xact} < ${rolledUp}`,
  );
  let gone = NONE;
  for (let from = 0; from < found.length; from += BATCH) {
    const ids = JSON.stringify(found.slice(from, from + BATCH).map(({ id }) => id));
    const [row] = await rows<Forgotten>(
      db,
      sql`with looked as materialized (
          select ${impressions.id} as id, ${impressions.xact} as xact from ${impressions}
          where ${impressions.id} in (select jsonb_array_elements_text(${ids}::text::jsonb))),
        ${settled(rolledUp)},
        free as (select id from settled),
        exposed as materialized (
          select ${exposures.impressionId} as impression_id, ${exposures.experiment} as experiment
          from ${exposures} join free on free.id = ${exposures.impressionId}),
        ${deleted}
        select ${counts}`,
    );
    gone = sum(gone, row!);
  }
  const rest = found.length - gone.impressions;
  return db.transaction(async (tx) => {
    await lockRollups(tx);
    const [row] = await rows<{ since: number }>(
      tx,
      sql`select count(*)::int as since from ${theirs} and ${impressions.xact} >= ${rolledUp}`,
    );
    const kept = rest + row!.since;
    return { ...gone, kept, renamed: kept > 0 ? 0 : await rename(tx, unitId) };
  });
}

/** The unit in the rollups under a random name; gives how many rows have it. */
async function rename(tx: Database, unitId: string): Promise<number> {
  const name = `forgotten-${randomUUID()}`;
  const days = await rows(
    tx,
    sql`update ${experimentUnitDays} set unit_id = ${name} where unit_id = ${unitId} returning 1`,
  );
  const units = await rows(
    tx, // `first` has the id of the unit's first impression
    sql`update ${experimentUnits} set unit_id = ${name},
        first = case when first is not null then first[1:1] || ${name}::text || first[3:] end
      where unit_id = ${unitId} returning 1`,
  );
  return days.length + units.length;
}
