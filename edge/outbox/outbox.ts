/**
 * The outbox, a Durable Object with SQLite: events that the queue did not take wait here until the backend has stored
 * them, however long that is; and the ledger of issued ids is kept here, to be compared with the backend's rows. It is
 * called by POST: `/put` events, `/note` ids, `/reconcile`.
 */
import type { EventBatchResult, HarnessEvent } from '../../shared/contract/events.ts';
import type { MissingExposure, Reconciliation } from '../../shared/contract/reconciliation.ts';
import { HarnessError, problemResponse } from '../../shared/problem.ts';
import { MAX_BATCH_EVENTS, splitBatches } from '../batches.ts';
import type { EventCounts } from '../events.ts';
import { exposuresOf, idOf } from './ledger-entry.ts';
import { Shelf, type Sql } from './shelf.ts';

/** As much of a Durable Object's state as is used here. */
export interface ObjectState {
  storage: {
    sql: Sql;
    getAlarm(): Promise<number | null>;
    setAlarm(atMs: number): Promise<void>;
  };
}

/** What the outbox needs of the Worker that it is part of. */
export interface OutboxDependencies {
  now: () => number;
  store: (events: readonly HarnessEvent[]) => Promise<EventBatchResult>;
  /** Of these ids, those that are no rows. */
  missing: (ids: readonly string[]) => Promise<string[]>;
  /** Tells the backend of exposures that were looked for twice in vain. */
  noteLost: (exposures: readonly MissingExposure[]) => Promise<void>;
  counts: EventCounts;
  onError: (message: string, error: unknown) => void;
}

/** Pause before the first attempt, doubled by every failure. */
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 30_000;
/** Time that delivery by the queue takes, generously; younger ids are not looked for. */
const GRACE_MS = 120_000;
/** A look that an id is missing from for the second time is no delivery under way. */
const CHECKS_TO_REPORT = 2;

export class Outbox {
  readonly #state: ObjectState;
  readonly #dependencies: () => OutboxDependencies;
  readonly #shelf: Shelf;
  #failures = 0;
  #reconciling: Promise<Reconciliation> | undefined;

  /** `dependencies` is asked for at every call: it may not exist yet when the object is made. */
  constructor(state: ObjectState, dependencies: () => OutboxDependencies) {
    this.#state = state;
    this.#dependencies = dependencies;
    this.#shelf = new Shelf(state.storage.sql);
  }

  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    try {
      const given = pathname === '/reconcile' ? undefined : await request.json();
      if (pathname === '/put') await this.put(given as HarnessEvent[]);
      else if (pathname === '/note') this.#shelf.note(given as string[], this.#dependencies().now());
      else if (pathname === '/reconcile') return Response.json(await this.reconcile());
      else throw new HarnessError('not_found', `${pathname}: expected /put, /note or /reconcile`);
      return new Response(null, { status: 204 });
    } catch (error) {
      // The caller is told no more of a fault than that there was one.
      if (!(error instanceof HarnessError)) this.#dependencies().onError(`outbox: ${pathname} failed`, error);
      return problemResponse(error);
    }
  }

  async put(events: readonly HarnessEvent[]): Promise<void> {
    this.#shelf.put(events);
    await this.#toBeWoken();
  }

  async #toBeWoken(): Promise<void> {
    const { storage } = this.#state;
    const nowMs = this.#dependencies().now();
    const alarmMs = await storage.getAlarm();
    // One that is further off than any pause is of a clock that has been set back since.
    if (alarmMs === null || alarmMs > nowMs + MAX_DELAY_MS) await storage.setAlarm(nowMs + FIRST_DELAY_MS);
  }

  /** Delivers what waits. Never throws: the runtime gives up on an alarm that fails too often. */
  async alarm(): Promise<void> {
    const { now, onError } = this.#dependencies();
    try {
      await this.#deliver();
      this.#failures = 0;
    } catch (error) {
      if (this.#failures === 0) onError(`${this.#shelf.waitingCount()} events wait in the outbox`, error);
      this.#failures += 1;
    }
    if (this.#shelf.waitingCount() > 0) {
      const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(this.#failures, 10));
      await this.#state.storage.setAlarm(now() + delayMs);
    }
  }

  async #deliver(): Promise<void> {
    const { store, counts, onError } = this.#dependencies();
    for (;;) {
      const [batch] = splitBatches(this.#shelf.waiting(MAX_BATCH_EVENTS), ({ event }) => [event]);
      if (batch === undefined) return;
      const { rejected } = await store(batch.map(({ event }) => event));
      this.#shelf.drop(batch);
      counts.delivered += batch.length - rejected.length;
      counts.rejected += rejected.length;
      for (const { index, reason } of rejected) onError(`event ${batch[index]?.event.id} was refused`, reason);
    }
  }

  /**
   * Looks for every id that should be a row by now; throws when the backend cannot be asked. Who asks while a look is under way, the
   * schedule and a person say, gets its outcome: two at a time would count each row twice.
   */
  reconcile(): Promise<Reconciliation> {
    this.#reconciling ??= this.#reconcile().finally(() => {
      this.#reconciling = undefined;
    });
    return this.#reconciling;
  }

  async #reconcile(): Promise<Reconciliation> {
    const { now, missing, noteLost, onError } = this.#dependencies();
    // The runtime gives up on an alarm whose runs keep dying, and what waits must not wait for the next event that the queue refuses.
    if (this.#shelf.waitingCount() > 0) await this.#toBeWoken();
    this.#shelf.forget(now());
    const beforeMs = now() - GRACE_MS;
    for (let after = 0; ; ) {
      const rows = this.#shelf.issued({ after, beforeMs });
      if (rows.length === 0) break;
      const left = new Set(await missing(rows.flatMap(({ entries }) => entries.map(idOf))));
      const lost = rows
        .filter(({ checks }) => checks + 1 === CHECKS_TO_REPORT)
        .flatMap(({ entries, minute }) =>
          entries.filter((entry) => left.has(idOf(entry))).map((entry) => ({ entry, minute })),
        );
      const exposures = lost.flatMap(({ entry, minute }) => exposuresOf(entry, minute));
      if (exposures.length > 0) await noteLost(exposures);
      for (const row of rows) this.#shelf.checked(row, left);
      for (const { entry, minute } of lost) {
        const of = new Date(minute).toISOString();
        onError(`event ${idOf(entry)} of ${of} is missing`, 'issued, and no row has its id');
      }
      after = rows.at(-1)!.seq;
    }
    return this.#shelf.reconciliation();
  }
}
