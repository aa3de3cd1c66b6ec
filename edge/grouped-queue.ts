/**
 * The queue, with group commit: while one call to it is in the air, events of other requests gather for the next one. Each
 * request still waits until the queue has its own event; the call, which costs more than the event, is shared.
 */
import type { HarnessEvent } from '../shared/contract/events.ts';
import { within } from './deadline.ts';
import type { EventQueue } from './env.ts';

/** Events of one call: even of the largest these stay below the 256 KB that a call may carry. */
const MAX_EVENTS = 25;

export interface GroupedQueueOptions {
  queue: EventQueue;
  now: () => number;
  /** Longest that events gather; a queue that is slow or hangs gets its next call then. */
  gatherMs: number;
}

interface Group {
  events: HarnessEvent[];
  openedAtMs: number;
  /** Settles as the call that carries the events. */
  sent: Promise<void>;
}

export class GroupedQueue {
  readonly #options: GroupedQueueOptions;
  #open: Group | undefined;
  #inTheAir: Promise<unknown> | undefined;

  constructor(options: GroupedQueueOptions) {
    this.#options = options;
  }

  /** Resolves when the queue has the event; rejects when it refused the call. */
  send(event: HarnessEvent): Promise<void> {
    const { now, gatherMs } = this.#options;
    const open = this.#open;
    // A group whose first request died with its context is never sent: nobody may join it for long.
    if (open !== undefined && open.events.length < MAX_EVENTS && now() - open.openedAtMs <= 2 * gatherMs) {
      open.events.push(event);
      return open.sent;
    }
    const group: Group = { events: [event], openedAtMs: now(), sent: Promise.resolve() };
    this.#open = group;
    group.sent = this.#send(group);
    return group.sent;
  }

  /** Runs in the request that opened the group, whose I/O the call is. */
  async #send(group: Group): Promise<void> {
    const { queue, gatherMs } = this.#options;
    if (this.#inTheAir !== undefined) await within(this.#inTheAir, gatherMs);
    if (this.#open === group) this.#open = undefined;
    const { events } = group;
    const call =
      events.length === 1
        ? queue.send(events[0]!, { contentType: 'json' })
        : queue.sendBatch(events.map((body) => ({ body, contentType: 'json' })));
    const settled = call.then(
      () => undefined,
      () => undefined,
    );
    this.#inTheAir = settled;
    try {
      await call;
    } finally {
      if (this.#inTheAir === settled) this.#inTheAir = undefined;
    }
  }
}
