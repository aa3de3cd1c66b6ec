/**
 * Group commit: requests that come while a transaction is under way are stored together in the next one, by COPY. Nobody
 * waits for a timer, so a single request is stored at once and the groups grow by themselves under load.
 *
 * COPY refuses a group when one of its rows is there already or does not fit. Then each request is stored by itself in
 * the careful way (ingest.ts), which finds out which row it was. Deliveries are seldom repeated, so this price is
 * seldom paid.
 * Source: DeWitt et al., Implementation Techniques for Main Memory Database Systems, SIGMOD 1984.
 */
import type { EventBatchResult } from '../../shared/contract/events.ts';
import type { CopyTransaction } from '../db/copy.ts';
import { isDataError, refusal } from '../db/sql-error.ts';
import { type Batch, type IngestOptions, ingest, readBatch } from './ingest.ts';
import { copyEvents, type Inserted } from './insert.ts';

export interface GroupCommitOptions extends IngestOptions {
  /** Absent, each request is stored by itself. */
  copying: CopyTransaction | undefined;
  /** Called for a group that COPY refused and whose requests are stored one by one. */
  onRefusedGroup?: (error: unknown) => void;
}

/** Groups under way at once: one is prepared here while the server stores another. */
const GROUPS = 2;
/**
 * Events of a group at most, unless one request alone has more: enough that a transaction costs little beside its rows,
 * and few enough that not all requests are in one group, because then reading and storing would only take turns.
 */
const GROUP_EVENTS = 2_000;

interface Request {
  values: readonly unknown[];
  batch: Batch;
  resolve(result: EventBatchResult | Promise<EventBatchResult>): void;
  reject(error: unknown): void;
}

/** Stores the events of a request as {@link ingest} does, and answers after the commit. */
export function groupCommit(options: GroupCommitOptions): (values: readonly unknown[]) => Promise<EventBatchResult> {
  const { copying, onKillListChange, onRungs, onRefusedGroup } = options;
  if (copying === undefined) return (values) => ingest(values, options);
  let waiting: Request[] = [];
  let underWay = 0;

  const takeGroup = (): Request[] => {
    let events = 0;
    let count = 0;
    while (count < waiting.length) {
      events += waiting[count]!.batch.events.length;
      if (count > 0 && events > GROUP_EVENTS) break;
      count++;
    }
    const group = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return group;
  };

  /** Commits the group; `undefined` where COPY refuses it, or would. */
  async function copy(group: readonly Request[]): Promise<Inserted | undefined> {
    const events = group.flatMap(({ batch }) => batch.events);
    if (group.length > 1) events.sort((a, b) => (a.id < b.id ? -1 : 1)); // as in readBatch
    try {
      return await copyEvents(copying!, events);
    } catch (error) {
      if (!isDataError(error) && refusal(error)?.code !== '25P02') throw error;
      onRefusedGroup?.(error);
      return undefined;
    }
  }

  async function store(group: readonly Request[]): Promise<void> {
    underWay++;
    let inserted: Inserted | undefined;
    try {
      inserted = await copy(group);
      if (inserted === undefined)
        for (const { values, resolve, reject } of group) await ingest(values, options).then(resolve, reject);
    } finally {
      underWay--;
      // Before anybody is answered: whoever is answered sends the next request, and while that is read the database server would be idle.
      next();
    }
    if (inserted === undefined) return;
    onRungs?.(inserted.rungs);
    if (inserted.killListChanged) await onKillListChange?.();
    for (const { batch, resolve } of group)
      resolve({ stored: batch.events.length, duplicates: batch.duplicates, rejected: batch.rejected });
  }

  function next(): void {
    while (underWay < GROUPS && waiting.length > 0) {
      const group = takeGroup();
      store(group).catch((error) => {
        for (const { reject } of group) reject(error);
      });
    }
  }

  return async (values) => {
    const batch = readBatch(values);
    if (batch.events.length === 0) return { stored: 0, duplicates: batch.duplicates, rejected: batch.rejected };
    return new Promise((resolve, reject) => {
      waiting.push({ values, batch, resolve, reject });
      next();
    });
  };
}
