/**
 * What each ad has spent today (UTC), counted in the transaction that stores its clicks: an ad whose budget is used up is
 * on the kill list (kill-list.ts) from the acknowledgement of those clicks until midnight, or until its budget is raised.
 */
import { sql } from 'drizzle-orm';
import type { ClickEvent } from '../../shared/contract/events.ts';
import { type Database, rows } from '../db/connect.ts';
import { raise } from '../db/counters.ts';
import { insertRecords } from '../db/recordset.ts';
import { adSpend } from '../db/schema.ts';
import { killedAmong } from './kill-list.ts';

const DAY_MS = 86_400_000;
const dayOf = (atMs: number) => new Date(atMs).toISOString().slice(0, 10);

/** Adds the clicks, which are new, to their ads' days; bots spend nothing. Resolves with whether the kill list changed. */
export async function spend(tx: Database, clicks: readonly ClickEvent[]): Promise<boolean> {
  const records = new Map<string, typeof adSpend.$inferInsert>();
  for (const { adId, atMs, chargeMicros, bot } of clicks) {
    if (bot || chargeMicros === 0) continue;
    const day = dayOf(atMs);
    const { spentMicros } = records.get(`${day} ${adId}`) ?? { spentMicros: 0 };
    records.set(`${day} ${adId}`, { adId, day, spentMicros: spentMicros + chargeMicros });
  }
  if (records.size === 0) return false;
  // In one order, so that two batches with the same ads wait for each other instead of both at once.
  const sorted = [...records.keys()].sort().map((key) => records.get(key)!);
  const ids = [...new Set(sorted.map(({ adId }) => adId))];
  const before = await killedAmong(tx, ids);
  await tx.execute(
    sql`${insertRecords(adSpend, sorted)} on conflict (day, ad_id)
        do update set spent_micros = ${adSpend}.spent_micros + excluded.spent_micros`,
  );
  const after = await killedAmong(tx, ids);
  if (before.size === after.size) return false;
  await raise(tx, 'config');
  return true;
}

/** Forgets the days before today; where there were any, the kill list is another, so its version rises. */
export async function forgetPastDays(db: Database): Promise<boolean> {
  return db.transaction(async (tx) => {
    const past = await rows(
      tx,
      sql`delete from ${adSpend} where day < (now() at time zone 'utc')::date returning ad_id`,
    );
    if (past.length > 0) await raise(tx, 'config');
    return past.length > 0;
  });
}

/** Milliseconds until the next UTC day. */
export const untilMidnight = (nowMs: number): number => DAY_MS - (nowMs % DAY_MS);
