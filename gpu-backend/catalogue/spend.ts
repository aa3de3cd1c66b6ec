/**
 * What each ad, its campaign and its advertiser have spent today (UTC), counted in the transaction that stores the clicks:
 * whose budget is used up is on the kill list (kill-list.ts) from the acknowledgement of those clicks until midnight, or
 * until the budget is raised. A click counts for the campaign that the ad is in when it is stored.
 */
import { sql } from 'drizzle-orm';
import type { ClickEvent } from '../../shared/contract/events.ts';
import { killEntry } from '../../shared/contract/takedown.ts';
import { type Database, rows } from '../db/connect.ts';
import { raise } from '../db/counters.ts';
import { insertRecords, recordset } from '../db/recordset.ts';
import { accountSpend, adSpend, ads } from '../db/schema.ts';
import { killedAmong } from './kill-list.ts';

const DAY_MS = 86_400_000;
const dayOf = (atMs: number) => new Date(atMs).toISOString().slice(0, 10);

/**
 * Adds the clicks, which are new, to the days of their ads, campaigns and advertisers; bots spend nothing. Resolves
 * with whether the kill list changed.
 */
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
  const entries = await entriesOf(
    tx,
    sorted.map(({ adId }) => adId),
  );
  const before = await killedAmong(tx, entries);
  await tx.execute(
    sql`${insertRecords(adSpend, sorted)} on conflict (day, ad_id)
        do update set spent_micros = ${adSpend}.spent_micros + excluded.spent_micros`,
  );
  await tx.execute(
    sql`insert into ${accountSpend} (kind, id, day, spent_micros)
        select owner.kind, owner.id, record.day, sum(record.spent_micros)
        from ${recordset(adSpend, sorted)} record join ${ads} on ${ads.id} = record.ad_id,
          lateral (values ('advertiser', ${ads.advertiserId}), ('campaign', ${ads.campaignId})) owner (kind, id)
        group by record.day, owner.kind, owner.id order by record.day, owner.kind, owner.id
        on conflict (day, kind, id) do update set spent_micros = ${accountSpend}.spent_micros + excluded.spent_micros`,
  );
  const after = await killedAmong(tx, entries);
  // Not by how many there are: a budget that was raised in between takes one off.
  if (before.symmetricDifference(after).size === 0) return false;
  await raise(tx, 'config');
  return true;
}

/** What a kill list might name for these ads. */
async function entriesOf(tx: Database, adIds: readonly string[]): Promise<string[]> {
  const found = await rows<{ campaignId: string; advertiserId: string }>(
    tx,
    sql`select distinct ${ads.campaignId} as "campaignId", ${ads.advertiserId} as "advertiserId" from ${ads}
        where ${ads.id} in (select jsonb_array_elements_text(${JSON.stringify(adIds)}::text::jsonb))`,
  );
  const owners = found.flatMap(({ campaignId, advertiserId }) => [
    killEntry('campaign', campaignId),
    killEntry('advertiser', advertiserId),
  ]);
  return [...new Set([...adIds, ...owners])];
}

/** Forgets the days before today; where there were any, the kill list changes, so its version rises. */
export async function forgetPastDays(db: Database): Promise<boolean> {
  return db.transaction(async (tx) => {
    const past = await rows(
      tx,
      sql`delete from ${adSpend} where day < (now() at time zone 'utc')::date returning ad_id`,
    );
    await tx.execute(sql`delete from ${accountSpend} where day < (now() at time zone 'utc')::date`);
    if (past.length > 0) await raise(tx, 'config');
    return past.length > 0;
  });
}

/** Milliseconds until the next UTC day. */
export const untilMidnight = (nowMs: number): number => DAY_MS - (nowMs % DAY_MS);
