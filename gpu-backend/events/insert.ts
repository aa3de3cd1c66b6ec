/**
 * Events into the tables, in one transaction and two ways. By INSERT, which leaves out what is there already; and by COPY,
 * several times cheaper, which refuses everything when one row is there already or does not fit.
 */
import { sql } from 'drizzle-orm';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import type { Rung } from '../../shared/contract/query-route.ts';
import { spend } from '../catalogue/spend.ts';
import { type Database, rows } from '../db/connect.ts';
import { type CopyText, type CopyTransaction, copyText } from '../db/copy.ts';
import { insertRecords, recordset } from '../db/recordset.ts';
import { clicks, conversions, exposures, impressions } from '../db/schema.ts';
import { clickRow, conversionRow, exposureRows, impressionRow, ofType } from './rows.ts';

export interface Inserted {
  /** Events that are new. */
  stored: number;
  /** New impressions by the rung of the edge's ladder that answered. */
  rungs: Map<Rung, number>;
  /** A budget is used up now. */
  killListChanged: boolean;
}

/** Each event whose id is not there yet. The ids of a type are distinct. */
export function insertEvents(db: Database, events: readonly HarnessEvent[]): Promise<Inserted> {
  const shown = ofType(events, 'impression');
  const clicked = ofType(events, 'click');
  const converted = ofType(events, 'conversion');
  return db.transaction(async (tx) => {
    const rungs = new Map<Rung, number>();
    let stored = 0;
    if (shown.length > 0) {
      // Exposures follow their impression: a repeated id with other assignments adds none.
      const fresh = await rows<{ rung: Rung; count: number }>(
        tx,
        sql`with fresh as (${insertRecords(impressions, shown.map(impressionRow))} on conflict do nothing returning id, rung),
            exposed as (insert into ${exposures}
              select record.* from ${recordset(exposures, shown.flatMap(exposureRows))} record
              join fresh on fresh.id = record.impression_id on conflict do nothing)
            select rung, count(*)::int as count from fresh group by rung`,
      );
      for (const { rung, count } of fresh) {
        rungs.set(rung, count);
        stored += count;
      }
    }
    const fresh = async (insert: ReturnType<typeof insertRecords>) =>
      new Set((await rows<{ id: string }>(tx, sql`${insert} on conflict do nothing returning id`)).map(({ id }) => id));
    if (converted.length > 0) stored += (await fresh(insertRecords(conversions, converted.map(conversionRow)))).size;
    if (clicked.length === 0) return { stored, rungs, killListChanged: false };
    const ids = await fresh(insertRecords(clicks, clicked.map(clickRow)));
    const killListChanged = await spend(
      tx,
      clicked.filter(({ id }) => ids.has(id)),
    );
    return { stored: stored + ids.size, rungs, killListChanged };
  });
}

/** Text of JSON or of a field in which Postgres may find U+0000 or half of a surrogate pair. */
const isSuspicious = (text: string) => text.includes('\0') || !text.isWellFormed() || /\\u(0000|d[89a-f])/i.test(text);

/** The same by COPY. Rejects with a refusal when an id is there already; gives `undefined`, having done nothing, for text that may not be stored. */
export async function copyEvents(
  copying: CopyTransaction,
  events: readonly HarnessEvent[],
): Promise<Inserted | undefined> {
  const shown = ofType(events, 'impression');
  const clicked = ofType(events, 'click');
  const rungs = new Map<Rung, number>();
  for (const { rung } of shown) rungs.set(rung, (rungs.get(rung) ?? 0) + 1);
  const tables: CopyText[] = [];
  const add = <T extends Parameters<typeof copyText>[0]>(table: T, values: readonly T['$inferInsert'][]) => {
    if (values.length > 0) tables.push(copyText(table, values));
  };
  add(impressions, shown.map(impressionRow));
  add(exposures, shown.flatMap(exposureRows));
  add(conversions, ofType(events, 'conversion').map(conversionRow));
  add(clicks, clicked.map(clickRow));
  if (tables.some(({ text }) => isSuspicious(text))) return undefined;
  const killListChanged = await copying(tables, async (tx) => clicked.length > 0 && (await spend(tx, clicked)));
  return { stored: events.length, rungs, killListChanged };
}
