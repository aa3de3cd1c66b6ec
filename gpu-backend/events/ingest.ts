/**
 * Storing what the edge logged. Delivery is at least once and in any order, so an event counts once by its id, nothing
 * refers to a row that may come later, and the answer is given after the commit. A malformed event is refused by index and
 * holds up none of the others: a batch that the database refuses as a whole is stored in parts.
 */

import { type EventBatchResult, HarnessEvent } from '../../shared/contract/events.ts';
import type { Rung } from '../../shared/contract/query-route.ts';
import type { Database } from '../db/connect.ts';
import { isDataError, refusal } from '../db/sql-error.ts';
import { unstorable } from '../db/storable.ts';
import { insertEvents } from './insert.ts';

export interface IngestOptions {
  db: Database;
  /** Called after a commit whose clicks used up a budget (and raised the configuration's version). */
  onKillListChange?: () => Promise<void>;
  /** Called after each commit with the number of new impressions of each rung of the edge's ladder. */
  onRungs?: (impressions: ReadonlyMap<Rung, number>) => void;
  /** Called once for a batch that had to be stored in parts, with what the database said. */
  onRefusedBatch?: (error: unknown) => void;
}

/** A request's events, as far as they can be told without the database. */
export interface Batch {
  /** Of distinct ids within a type, in the order of their ids. */
  events: HarnessEvent[];
  /** Of each of these the place in the request. */
  indices: number[];
  duplicates: number;
  rejected: EventBatchResult['rejected'];
}

/** Instants outside belong to a broken clock. */
export const [EARLIEST_MS, LATEST_MS] = [Date.UTC(2000, 0), Date.UTC(2100, 0)];

/** Reads a request; unless {@link readStorableEvent} is the check, text that Postgres cannot store is left in it. */
export function readBatch(values: readonly unknown[], check = readEvent): Batch {
  const rejected: EventBatchResult['rejected'] = [];
  const accepted = new Map<string, { index: number; event: HarnessEvent }>();
  let duplicates = 0;
  for (const [index, value] of values.entries()) {
    const event = check(value);
    if (typeof event === 'string') rejected.push({ index, reason: event });
    else if (accepted.has(`${event.type} ${event.id}`)) duplicates++;
    else accepted.set(`${event.type} ${event.id}`, { index, event });
  }
  // In one order, so that two deliveries of the same events wait for each other instead of both at once.
  const sorted = [...accepted.values()].sort((a, b) => (a.event.id < b.event.id ? -1 : 1));
  return {
    events: sorted.map(({ event }) => event),
    indices: sorted.map(({ index }) => index),
    duplicates,
    rejected,
  };
}

/** Stores the events of one `POST /v1/events`, as they came. Throws only when the database itself is away. */
export async function ingest(values: readonly unknown[], options: IngestOptions): Promise<EventBatchResult> {
  const { result, killListChanged } = await storeAll(values, options);
  if (killListChanged) await options.onKillListChange?.();
  return result;
}

async function storeAll(
  values: readonly unknown[],
  { db, onRungs, onRefusedBatch }: IngestOptions,
): Promise<{ result: EventBatchResult; killListChanged: boolean }> {
  const batch = readBatch(values, readStorableEvent);
  const { events, indices, rejected } = batch;
  let { duplicates } = batch;
  let stored = 0;
  let killListChanged = false;
  /**
   * Halves what is refused until it is known which event it was: one transaction per event would take too long for a
   * large batch.
   */
  const store = async (from: number, to: number): Promise<void> => {
    try {
      const inserted = await insertEvents(db, events.slice(from, to));
      onRungs?.(inserted.rungs);
      stored += inserted.stored;
      duplicates += to - from - inserted.stored;
      killListChanged ||= inserted.killListChanged;
    } catch (error) {
      if (!isDataError(error)) throw error;
      if (to - from === events.length) onRefusedBatch?.(error);
      if (to - from === 1) {
        rejected.push({ index: indices[from]!, reason: `the database refuses it: ${refusal(error)!.message}` });
        return;
      }
      const middle = (from + to) >> 1;
      await store(from, middle);
      await store(middle, to);
    }
  };
  if (events.length > 0) await store(0, events.length);
  rejected.sort((a, b) => a.index - b.index);
  return { result: { stored, duplicates, rejected }, killListChanged };
}

/** The event, or why it is none. */
function readEvent(value: unknown): HarnessEvent | string {
  const result = HarnessEvent.safeParse(value);
  if (!result.success) {
    const { path, message } = result.error.issues[0]!;
    return `${path.join('.') || 'event'}: ${message}`;
  }
  const { atMs } = result.data;
  if (atMs < EARLIEST_MS || atMs > LATEST_MS) return `atMs: expected UTC milliseconds of this century, got ${atMs}`;
  return result.data;
}

/** The same for text, too, that Postgres does not take. */
export function readStorableEvent(value: unknown): HarnessEvent | string {
  const event = readEvent(value);
  if (typeof event === 'string') return event;
  const bad = unstorable(event);
  return bad === undefined ? event : `${bad}: expected text without U+0000 and unpaired surrogates`;
}
