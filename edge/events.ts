/**
 * The way of an event out of the edge: the queue, and where that fails a signed call to the backend. An event has its id
 * before it leaves, so both ways may deliver it and it still counts once.
 */
import type { HarnessEvent } from '../shared/contract/events.ts';
import { HarnessError } from '../shared/problem.ts';
import { TIMED_OUT, within } from './deadline.ts';
import type { EventQueue } from './env.ts';

/** Events of this isolate. `issued = queued + direct + failed + in the air`; `queued = delivered + rejected + on the way`. */
export interface EventCounts {
  issued: number;
  /** Accepted by the queue. */
  queued: number;
  /** Stored by a direct call, because the queue refused or hung. */
  direct: number;
  /** Stored through the queue's consumer. */
  delivered: number;
  /** Refused by the backend for good. */
  rejected: number;
  /** Lost: neither way took it. */
  failed: number;
}

export interface EventLogOptions {
  queue: EventQueue;
  /** Stores an event without the queue; rejects when it could not. */
  direct: (event: HarnessEvent) => Promise<void>;
  /** Longest that a request waits for its event. */
  deadlineMs: number;
  /** How long the queue may take before the other way is tried. */
  queueTimeoutMs: number;
  onError: (message: string, error: unknown) => void;
}

export class EventLog {
  readonly counts: EventCounts = { issued: 0, queued: 0, direct: 0, delivered: 0, rejected: 0, failed: 0 };
  readonly #options: EventLogOptions;

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  /** Resolves with whether the event is safe, as soon as that is known or the deadline is over (`undefined`). */
  async log(event: HarnessEvent, waitUntil: (work: Promise<unknown>) => void): Promise<boolean | undefined> {
    this.counts.issued += 1;
    const { queue, deadlineMs, queueTimeoutMs } = this.#options;
    let overdue = (_error: HarnessError) => {};
    const hung = new Promise<never>((_, reject) => {
      overdue = reject;
    });
    const delivery = this.#deliver(event, Promise.race([send(queue, event), hung]));
    waitUntil(delivery);
    const safe = await within(delivery, deadlineMs);
    if (safe !== TIMED_OUT) return safe;
    // The answer leaves; the queue gets the rest of its time, and then the event takes the other way.
    const patience = within(delivery, queueTimeoutMs - deadlineMs).then((outcome) => {
      if (outcome === TIMED_OUT)
        overdue(new HarnessError('deadline_exceeded', `no answer within ${queueTimeoutMs} ms`));
    });
    waitUntil(patience);
    return undefined;
  }

  async #deliver(event: HarnessEvent, sent: Promise<void>): Promise<boolean> {
    const { direct, onError } = this.#options;
    try {
      await sent;
      this.counts.queued += 1;
      return true;
    } catch (queueError) {
      try {
        await direct(event);
        this.counts.direct += 1;
        onError(`event ${event.id} went directly, the queue failed`, queueError);
        return true;
      } catch (directError) {
        this.counts.failed += 1;
        const both = new AggregateError([queueError, directError]);
        onError(`event ${event.id} is lost: the queue failed, and so did the backend`, both);
        return false;
      }
    }
  }
}

/** A rejection, too, when the binding throws before it has a promise to give. */
async function send(queue: EventQueue, event: HarnessEvent): Promise<void> {
  await queue.send(event, { contentType: 'json' });
}

/** Stores one event through the backend; an event that it refuses is an error. */
export function directDelivery(
  store: (events: readonly HarnessEvent[]) => Promise<{ rejected: { reason: string }[] }>,
): (event: HarnessEvent) => Promise<void> {
  return async (event) => {
    const { rejected } = await store([event]);
    if (rejected.length > 0) throw new HarnessError('bad_request', `event ${event.id}: ${rejected[0]!.reason}`);
  };
}
