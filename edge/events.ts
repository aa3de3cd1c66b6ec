/**
 * How events leave the edge, group by group: the queue; where that fails or hangs, the outbox; where that fails, a
 * signed call to the backend. An event has its id before it leaves, so several ways may deliver it and it still counts
 * once.
 */
import type { EventBatchResult, HarnessEvent } from '../shared/contract/events.ts';
import { HarnessError } from '../shared/problem.ts';
import { TIMED_OUT, tookLonger, within } from './deadline.ts';
import type { EventQueue } from './env.ts';
import { type EventGroup, EventGroups, messageOf, type Ticket, type WaitUntil } from './event-groups.ts';
import { onceAMinute } from './once-a-minute.ts';

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

export interface EventLogOptions {
  queue: EventQueue;
  /** Keeps events until they can be stored; rejects when it could not. */
  park: (events: readonly HarnessEvent[]) => Promise<void>;
  /** Stores events without queue and outbox; rejects when it could not. */
  direct: (events: readonly HarnessEvent[]) => Promise<Pick<EventBatchResult, 'rejected'>>;
  /** Told of every event, for reconciliation. */
  note: (event: HarnessEvent, waitUntil: WaitUntil) => void;
  /** Longest that events wait for company while others are under way. */
  gatherMs: number;
  /** Longest that the queue may take, and that an answer waits for the other ways after it. */
  deadlineMs: number;
  /** Longest that the outbox may take. */
  outboxTimeoutMs: number;
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  onError: (message: string, error: unknown) => void;
}

export class EventLog {
  readonly counts: EventCounts = noEvents();
  readonly #options: EventLogOptions;
  readonly #groups: EventGroups;
  readonly #sayDiverted: (message: string, errors: unknown[]) => void;

  constructor(options: EventLogOptions) {
    const { now, gatherMs, onError } = options;
    this.#options = options;
    this.#sayDiverted = onceAMinute(now, (message, errors) => onError(message, new AggregateError(errors)));
    this.#groups = new EventGroups({
      deliver: (group, waitUntil) => this.#deliver(group, waitUntil),
      now,
      gatherMs,
    });
  }

  /** Resolves with whether the event is safe, as soon as that is known or the deadline is over (`undefined`). */
  async log(event: HarnessEvent, waitUntil: WaitUntil): Promise<boolean | undefined> {
    const { deadlineMs, note } = this.#options;
    this.counts.issued += 1;
    note(event, waitUntil);
    const ticket = this.#groups.join(event, waitUntil);
    // Once for the queue, and once for the other ways.
    for (let way = 0; way < 2; way++) {
      const safe = await within(ticket.safe, deadlineMs);
      if (safe !== TIMED_OUT) return safe;
    }
    if (ticket.group.decided) return undefined;
    // The request that was to deliver the group is gone, and with it all that it had begun.
    ticket.left = true;
    const refusal = new HarnessError('deadline_exceeded', 'the request that was to send the event is gone');
    const lost = this.#divert([event], refusal, waitUntil);
    waitUntil(lost);
    const found = await within(lost, deadlineMs);
    return found === TIMED_OUT ? undefined : found.length === 0;
  }

  /** One call for a whole group, whichever way it goes. */
  async #deliver(group: EventGroup, waitUntil: WaitUntil): Promise<(ticket: Ticket) => boolean> {
    const { tickets } = group;
    const refusal = await this.#queue(tickets, waitUntil);
    group.decided = true;
    const waiting = tickets.filter(({ left }) => !left);
    if (waiting.length === 0 && refusal !== undefined) return () => false;
    if (refusal === undefined) {
      this.counts.queued += waiting.length;
      this.counts.late += tickets.length - waiting.length;
      return () => true;
    }
    const lost = await this.#divert(JSON.parse(messageOf(waiting)) as HarnessEvent[], refusal.error, waitUntil);
    const unsafe = new Set(lost.map((i) => waiting[i]!));
    return (ticket) => !unsafe.has(ticket);
  }

  /** Why the queue did not take the events in time; `undefined` when it did. */
  async #queue(tickets: readonly Ticket[], waitUntil: WaitUntil): Promise<{ error: unknown } | undefined> {
    const { queue, deadlineMs } = this.#options;
    try {
      const sent = queue.send(messageOf(tickets), { contentType: 'text' });
      // The wait outlasts a standstill: to divert what was sent in time would be more work for an isolate that has just fallen behind.
      if ((await within(sent, deadlineMs)) !== TIMED_OUT) return undefined;
      waitUntil(sent.then(() => this.#countLate(tickets.length)).catch(() => undefined));
      throw tookLonger(deadlineMs);
    } catch (error) {
      return { error };
    }
  }

  #countLate(events: number): void {
    this.counts.late += events;
  }

  /** Outbox, else backend, for what the queue did not take. Resolves with the positions of those that are lost. */
  async #divert(events: readonly HarnessEvent[], refusal: unknown, waitUntil: WaitUntil): Promise<readonly number[]> {
    const { direct, onError } = this.#options;
    const errors = [refusal];
    try {
      await this.#park(events, waitUntil);
      this.counts.outboxed += events.length;
      this.#sayDiverted(`${named(events)} went to the outbox`, errors);
      return [];
    } catch (error) {
      errors.push(error);
    }
    const lost: number[] = [];
    try {
      for (const { index, reason } of (await direct(events)).rejected) {
        lost.push(index);
        errors.push(new HarnessError('bad_request', `event ${events[index]?.id}: ${reason}`));
      }
    } catch (error) {
      lost.push(...events.keys());
      errors.push(error);
    }
    this.counts.direct += events.length - lost.length;
    this.counts.failed += lost.length;
    if (lost.length < events.length) this.#sayDiverted(`${named(events)} went to the backend directly`, errors);
    for (const i of lost) {
      onError(`event ${events[i]!.id} is lost: queue, outbox and backend failed`, new AggregateError(errors));
    }
    return lost;
  }

  /** Rejects when the outbox takes longer; what it then takes late, the request stays for to count. */
  async #park(events: readonly HarnessEvent[], waitUntil: WaitUntil): Promise<void> {
    const { park, outboxTimeoutMs } = this.#options;
    const parked = park(events);
    if ((await within(parked, outboxTimeoutMs)) !== TIMED_OUT) return;
    waitUntil(
      within(
        parked.then(() => this.#countLate(events.length)),
        outboxTimeoutMs,
      ).catch(() => undefined),
    );
    throw tookLonger(outboxTimeoutMs);
  }
}

/** The first by its id, for the log. */
const named = ([first, ...others]: readonly HarnessEvent[]) =>
  others.length === 0 ? `event ${first?.id}` : `event ${first?.id} and ${others.length} more`;
