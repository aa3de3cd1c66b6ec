/**
 * Storing what the edge logged. Delivery is at least once and in any order, so an event counts once by its id, nothing
 * refers to a row that may come later, and the answer is given after the commit. A malformed event is refused by index and
 * holds up none of the others: a batch that the database refuses as a whole is stored event by event.
 */
import { sql } from 'drizzle-orm';
import type { Rung } from '../../shared/contract/ads.ts';
import { type EventBatchResult, HarnessEvent } from '../../shared/contract/events.ts';
import { spend } from '../catalogue/spend.ts';
import { type Database, rows } from '../db/connect.ts';
import { insertRecords, recordset } from '../db/recordset.ts';
import { clicks, conversions, exposures, impressions } from '../db/schema.ts';
import { unstorable } from '../db/storable.ts';
import { clickRow, conversionRow, exposureRows, impressionRow, ofType } from './rows.ts';

export interface IngestOptions {
  db: Database;
  /** Called after a commit whose clicks used up a budget (and raised the configuration's version). */
  onKillListChange?: () => Promise<void>;
  /** Told after each commit how many new impressions there are of each rung of the edge's ladder. */
  onRungs?: (impressions: ReadonlyMap<Rung, number>) => void;
  /** Called once for a batch that had to be stored event by event, with what the database said. */
  onRefusedBatch?: (error: unknown) => void;
}

/** Instants outside belong to a broken clock. */
const [EARLIEST_MS, LATEST_MS] = [Date.UTC(2000, 0), Date.UTC(2100, 0)];

/** Stores the events of `POST /v1/events`, as they came. Throws only when the database itself is away. */
export async function ingest(events: readonly unknown[], options: IngestOptions): Promise<EventBatchResult> {
  const { result, killListChanged } = await storeAll(events, options);
  if (killListChanged) await options.onKillListChange?.();
  return result;
}

async function storeAll(
  events: readonly unknown[],
  options: IngestOptions,
): Promise<{ result: EventBatchResult; killListChanged: boolean }> {
  const rejected: EventBatchResult['rejected'] = [];
  const accepted = new Map<string, { index: number; event: HarnessEvent }>();
  let duplicates = 0;
  for (const [index, value] of events.entries()) {
    const event = check(value);
    if (typeof event === 'string') rejected.push({ index, reason: event });
    else if (accepted.has(`${event.type} ${event.id}`)) duplicates++;
    else accepted.set(`${event.type} ${event.id}`, { index, event });
  }
  const list = [...accepted.values()];
  if (list.length === 0) return { result: { stored: 0, duplicates, rejected }, killListChanged: false };
  try {
    const { stored, killListChanged } = await store(
      options,
      list.map(({ event }) => event),
    );
    return { result: { stored, duplicates: duplicates + list.length - stored, rejected }, killListChanged };
  } catch (error) {
    if (!isDataError(error)) throw error;
    options.onRefusedBatch?.(error);
  }
  let stored = 0;
  let killListChanged = false;
  for (const { index, event } of list) {
    try {
      const fresh = await store(options, [event]);
      stored += fresh.stored;
      duplicates += 1 - fresh.stored;
      killListChanged ||= fresh.killListChanged;
    } catch (error) {
      if (!isDataError(error)) throw error;
      rejected.push({ index, reason: `the database refuses it: ${databaseError(error)!.message}` });
    }
  }
  rejected.sort((a, b) => a.index - b.index);
  return { result: { stored, duplicates, rejected }, killListChanged };
}

/** The event, or why it is none. */
function check(value: unknown): HarnessEvent | string {
  const result = HarnessEvent.safeParse(value);
  if (!result.success) {
    const { path, message } = result.error.issues[0]!;
    return `${path.join('.') || 'event'}: ${message}`;
  }
  const { atMs } = result.data;
  if (atMs < EARLIEST_MS || atMs > LATEST_MS) return `atMs: expected UTC milliseconds of this century, got ${atMs}`;
  const bad = unstorable(result.data);
  return bad === undefined ? result.data : `${bad}: expected text without U+0000 and unpaired surrogates`;
}

/** One transaction; returns how many of the events are new, and whether a budget is used up now. Their ids are distinct. */
async function store(
  { db, onRungs }: IngestOptions,
  events: readonly HarnessEvent[],
): Promise<{ stored: number; killListChanged: boolean }> {
  const shown = ofType(events, 'impression');
  const clicked = ofType(events, 'click');
  const converted = ofType(events, 'conversion');
  const rungs = new Map<Rung, number>();
  const result = await db.transaction(async (tx) => {
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
    if (clicked.length === 0) return { stored, killListChanged: false };
    const ids = await fresh(insertRecords(clicks, clicked.map(clickRow)));
    const killListChanged = await spend(
      tx,
      clicked.filter(({ id }) => ids.has(id)),
    );
    return { stored: stored + ids.size, killListChanged };
  });
  onRungs?.(rungs);
  return result;
}

/** The database's own error under drizzle's. */
function databaseError(error: unknown): { code: string; message: string } | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return { code, message: at.message };
  }
  return undefined;
}

/** Data that does not fit (SQLSTATE classes 22, 23 and 54), as opposed to a database that is away. */
function isDataError(error: unknown): boolean {
  return /^(22|23|54)/.test(databaseError(error)?.code ?? '');
}
