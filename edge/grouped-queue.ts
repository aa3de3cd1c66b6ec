/**
 * The queue, with group commit: while one call to it is in the air, events of other requests gather for the next one, and where
 * groups follow each other closely each lingers for company (as Kafka's `linger.ms` and Postgres' `commit_delay`). Each
 * request still waits until the queue has its own event; call and message, which cost more than the event, are shared.
 */
import type { HarnessEvent } from '../shared/contract/events.ts';
import { within } from './deadline.ts';
import type { EventQueue } from './env.ts';
import type { Sending } from './events.ts';

/** UTF-16 units of a message, of which each takes at most three bytes: a queue takes messages of 128 KB. */
const MAX_UNITS = 42_000;
/** A group that opens within so many milliseconds of the last one is not likely to stay alone. */
const BUSY_MS = 3;

export interface GroupedQueueOptions {
  queue: EventQueue;
  now: () => number;
  /** Longest that events gather; a queue that is slow or hangs gets its next call then. */
  gatherMs: number;
  /** How long a group lingers where it is busy and no call is in the air; 0 for not at all. */
  lingerMs: number;
}

interface Entry {
  sending: Sending;
  /** The event as JSON. */
  text: string;
  resolve: () => void;
  reject: (error: unknown) => void;
}

interface Group {
  entries: Entry[];
  /** Of its texts. */
  units: number;
  openedAtMs: number;
}

export class GroupedQueue {
  readonly #options: GroupedQueueOptions;
  #open: Group | undefined;
  #inTheAir: Group | undefined;
  #openedAtMs = Number.NEGATIVE_INFINITY;
  /** Wakes the groups that wait for the call in the air. */
  readonly #waiting = new Set<() => void>();

  constructor(options: GroupedQueueOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the queue has the event; rejects when it refused the call. Each request waits on a promise of its own, which
   * is left alone once the request is over: in a Worker nobody may settle a promise of a request that has ended.
   */
  send(event: HarnessEvent, sending: Sending): Promise<void> {
    return new Promise((resolve, reject) => {
      const { now, gatherMs } = this.#options;
      const text = JSON.stringify(event);
      const entry: Entry = { sending, text, resolve, reject };
      const units = text.length + 1;
      const open = this.#open;
      // A group whose first request died with its context is never sent: nobody may join it for long.
      if (open !== undefined && open.units + units <= MAX_UNITS && now() - open.openedAtMs <= 2 * gatherMs) {
        open.entries.push(entry);
        open.units += units;
        return;
      }
      const group: Group = { entries: [entry], units, openedAtMs: now() };
      const isBusy = group.openedAtMs - this.#openedAtMs <= BUSY_MS;
      this.#open = group;
      this.#openedAtMs = group.openedAtMs;
      // The call carries events of other requests: it outlives the patience of the one that makes it.
      sending.waitUntil(this.#send(group, isBusy));
    });
  }

  /** Runs in the request that opened the group, whose I/O the call is. Never rejects. */
  async #send(group: Group, isBusy: boolean): Promise<void> {
    const { entries } = group;
    const { lingerMs } = this.#options;
    if (this.#inTheAir !== undefined) await this.#turn();
    else if (isBusy && lingerMs > 0) await new Promise((resolve) => setTimeout(resolve, lingerMs));
    if (this.#open === group) this.#open = undefined;
    this.#inTheAir = group;
    try {
      await this.#options.queue.send(`[${entries.map(({ text }) => text)}]`, { contentType: 'text' });
      for (const { sending, resolve } of entries) sending.diverted ? sending.onLate() : resolve();
    } catch (error) {
      for (const { sending, reject } of entries) sending.diverted || reject(error);
    } finally {
      if (this.#inTheAir === group) {
        this.#inTheAir = undefined;
        for (const wake of this.#waiting) wake();
        this.#waiting.clear();
      }
    }
  }

  /** Until no call is in the air, `gatherMs` at most. */
  async #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    await within(promise, this.#options.gatherMs);
    this.#waiting.delete(resolve);
  }
}
