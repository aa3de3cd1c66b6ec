/**
 * The way of an event out of the edge: the queue; where that fails or hangs, the outbox; where that fails, a signed call to
 * the backend. An event has its id before it leaves, so several ways may deliver it and it still counts once.
 */
import type { HarnessEvent } from '../shared/contract/events.ts';
import { HarnessError } from '../shared/problem.ts';
import { TIMED_OUT, within } from './deadline.ts';

/**
 * Events of this isolate: `issued = queued + outboxed + direct + failed + in the air`. Where one isolate runs everything,
 * as on one machine, `queued + outboxed + late = delivered + rejected + on the way`.
 */
export interface EventCounts {
  issued: number;
  /** Accepted by the queue. */
  queued: number;
  /** Accepted by the outbox, because the queue refused or hung. */
  outboxed: number;
  /** Accepted by queue or outbox after their time, when another way had been taken: delivered twice, stored once. */
  late: number;
  /** Stored by a direct call, because queue and outbox refused or hung. */
  direct: number;
  /** Stored through the queue's consumer or the outbox. */
  delivered: number;
  /** Refused by the backend for good. */
  rejected: number;
  /** Lost: no way took it. */
  failed: number;
}

export const noEvents = (): EventCounts => ({
  issued: 0,
  queued: 0,
  outboxed: 0,
  late: 0,
  direct: 0,
  delivered: 0,
  rejected: 0,
  failed: 0,
});

type WaitUntil = (work: Promise<unknown>) => void;

/** What goes with an event to the queue, whose call may be another request's: plain values, which outlive this one. */
export interface Sending {
  /** For what must go on after the request has its answer. */
  waitUntil: WaitUntil;
  /** Set when the event has taken another way and nobody waits. */
  diverted: boolean;
  /** The queue took it nevertheless. */
  onLate: () => void;
}

export interface EventLogOptions {
  /** Resolves when the queue has the event, or rejects; says `onLate`, and nothing else, once the event is diverted. */
  queue: { send: (event: HarnessEvent, options: Sending) => Promise<unknown> };
  /** Keeps events until they can be stored; rejects when it could not. */
  park: (events: readonly HarnessEvent[]) => Promise<void>;
  /** Stores an event without queue and outbox; rejects when it could not. */
  direct: (event: HarnessEvent) => Promise<void>;
  /** Told of every event, for reconciliation. */
  note: (event: HarnessEvent, waitUntil: WaitUntil) => void;
  /** Longest that the queue may take, and that an answer waits for the other ways after it. */
  deadlineMs: number;
  /** Longest that the outbox may take. */
  outboxTimeoutMs: number;
  now: () => number;
  onError: (message: string, error: unknown) => void;
}

/** Between two lines of the log about events that took another way. */
const SAY_EVERY_MS = 60_000;

export class EventLog {
  readonly counts: EventCounts = noEvents();
  readonly #options: EventLogOptions;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  readonly #onLate = () => {
    this.counts.late += 1;
  };

  /** Resolves with whether the event is safe, as soon as that is known or the deadline is over (`undefined`). */
  async log(event: HarnessEvent, waitUntil: WaitUntil): Promise<boolean | undefined> {
    const { deadlineMs, note } = this.#options;
    this.counts.issued += 1;
    note(event, waitUntil);
    const queued = this.#queue(event, waitUntil);
    const delivery = queued.then((refusal) => (refusal === undefined ? true : this.#divert(event, refusal, waitUntil)));
    waitUntil(delivery);
    if ((await queued) === undefined) return true;
    const safe = await within(delivery, deadlineMs);
    return safe === TIMED_OUT ? undefined : safe;
  }

  /** Why the queue did not take the event in time; `undefined` when it did. */
  async #queue(event: HarnessEvent, waitUntil: WaitUntil): Promise<{ error: unknown } | undefined> {
    const { queue, deadlineMs } = this.#options;
    const sending: Sending = { waitUntil, diverted: false, onLate: this.#onLate };
    try {
      const sent = queue.send(event, sending);
      // In two halves: a timer fires late when the isolate itself stood still, and then the queue's answer may wait behind it.
      // To divert what was sent in time would be more work for an isolate that has just fallen behind.
      for (let half = 0; (await within(sent, deadlineMs / 2)) === TIMED_OUT; half++) {
        if (half > 0) throw late(deadlineMs);
      }
      this.counts.queued += 1;
      return undefined;
    } catch (error) {
      sending.diverted = true;
      return { error };
    }
  }

  /** Outbox, else backend, for what the queue did not take. */
  async #divert(event: HarnessEvent, refusal: { error: unknown }, waitUntil: WaitUntil): Promise<boolean> {
    const { park, direct, outboxTimeoutMs, onError } = this.#options;
    const ways: [count: 'outboxed' | 'direct', take: () => Promise<unknown>][] = [
      ['outboxed', () => this.#park(() => park([event]), outboxTimeoutMs, waitUntil)],
      ['direct', () => direct(event)],
    ];
    const errors = [refusal.error];
    for (const [count, take] of ways) {
      try {
        await take();
        this.counts[count] += 1;
        this.#sayDiverted(`event ${event.id} was ${count}`, errors);
        return true;
      } catch (error) {
        errors.push(error);
      }
    }
    this.counts.failed += 1;
    onError(`event ${event.id} is lost: queue, outbox and backend failed`, new AggregateError(errors));
    return false;
  }

  /** Once a minute: a queue that is away diverts every event, and the counts say how many. */
  #sayDiverted(message: string, errors: unknown[]): void {
    const { now, onError } = this.#options;
    if (now() - this.#saidAtMs < SAY_EVERY_MS) return;
    this.#saidAtMs = now();
    onError(message, new AggregateError(errors));
  }

  /** Rejects when the outbox takes longer; what it then takes late, the request stays for to count. */
  async #park(start: () => Promise<unknown>, ms: number, waitUntil: WaitUntil): Promise<void> {
    const started = start();
    if ((await within(started, ms)) !== TIMED_OUT) return;
    waitUntil(within(started.then(this.#onLate), ms).catch(() => undefined));
    throw late(ms);
  }
}

const late = (ms: number) => new HarnessError('deadline_exceeded', `no answer within ${ms} ms`);

/** Stores one event through the backend; an event that it refuses is an error. */
export function directDelivery(
  store: (events: readonly HarnessEvent[]) => Promise<{ rejected: { reason: string }[] }>,
): (event: HarnessEvent) => Promise<void> {
  return async (event) => {
    const { rejected } = await store([event]);
    if (rejected.length > 0) throw new HarnessError('bad_request', `event ${event.id}: ${rejected[0]!.reason}`);
  };
}
