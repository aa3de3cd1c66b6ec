/**
 * Events in groups, as a database commits: those of the requests that one turn of the event loop serves go together,
 * and while a group is under way, later ones gather for the next. So groups grow with the load, and nobody waits for
 * company that does not come. The first request of a group delivers it and stays until that is done; the others only
 * wait, and may end at any time.
 */
import type { HarnessEvent } from '../shared/contract/events.ts';
import { MAX_BATCH_EVENTS } from './batches.ts';
import { within } from './deadline.ts';

/** UTF-16 units of a group, of which each takes at most three bytes: a queue takes messages of 128 KB. */
const MAX_UNITS = 42_000;

export type WaitUntil = (work: Promise<unknown>) => void;

/** Plain values, and a promise that is left alone by its own request only: others settle it, and may do so when that is over. */
export interface Ticket {
  /** The event as JSON. */
  readonly text: string;
  /** Whether the event is safe; settled by whoever delivers its group. */
  readonly safe: Promise<boolean>;
  readonly group: EventGroup;
  /** Set by a request that went on without its group. */
  left: boolean;
}

/** The queue's message: JSON of a list of events. */
export const messageOf = (tickets: readonly Ticket[]): string => `[${tickets.map(({ text }) => text)}]`;

export interface EventGroup {
  readonly tickets: readonly Ticket[];
  /** Set once its way to the queue is over, one way or the other: a group that never gets there has lost the request that opened it. */
  decided: boolean;
}

interface Waiting extends Ticket {
  readonly settle: (safe: boolean) => void;
}

interface Gathering extends EventGroup {
  readonly tickets: Waiting[];
  /** Of its texts. */
  units: number;
  readonly openedAtMs: number;
}

export interface EventGroupsOptions {
  /** Runs in the request that opened the group, whose `waitUntil` it gets. Resolves with which tickets are safe; never rejects. */
  deliver: (group: EventGroup, waitUntil: WaitUntil) => Promise<(ticket: Ticket) => boolean>;
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  /** Longest that events gather; where a delivery is slow or hangs, the next begins then. */
  gatherMs: number;
}

export class EventGroups {
  readonly #options: EventGroupsOptions;
  #open: Gathering | undefined;
  #underWay: Gathering | undefined;
  /** Wakes the groups that wait for the one under way. */
  readonly #waiting = new Set<() => void>();

  constructor(options: EventGroupsOptions) {
    this.#options = options;
  }

  join(event: HarnessEvent, waitUntil: WaitUntil): Ticket {
    const { promise: safe, resolve: settle } = Promise.withResolvers<boolean>();
    const text = JSON.stringify(event);
    const group = this.#gathering(text.length + 1);
    const ticket: Waiting = { text, safe, group, left: false, settle };
    if (group.tickets.push(ticket) === 1) waitUntil(this.#run(group, waitUntil));
    return ticket;
  }

  /** The open group if it has room for so many units, else a new one. */
  #gathering(units: number): Gathering {
    const { now, gatherMs } = this.#options;
    const open = this.#open;
    // A group whose first request died with its context is never delivered: nobody may join it for long.
    if (
      open !== undefined &&
      open.units + units <= MAX_UNITS &&
      open.tickets.length < MAX_BATCH_EVENTS &&
      now() - open.openedAtMs <= 2 * gatherMs
    ) {
      open.units += units;
      return open;
    }
    this.#open = { tickets: [], decided: false, units, openedAtMs: now() };
    return this.#open;
  }

  async #run(group: Gathering, waitUntil: WaitUntil): Promise<void> {
    if (this.#underWay === undefined) await new Promise((resolve) => setTimeout(resolve, 0));
    else await this.#turn();
    if (this.#open === group) this.#open = undefined;
    this.#underWay = group;
    const isSafe = await this.#options.deliver(group, waitUntil);
    if (this.#underWay === group) {
      this.#underWay = undefined;
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    }
    for (const ticket of group.tickets) ticket.settle(isSafe(ticket));
  }

  /** Until no group is under way, `gatherMs` at most. */
  async #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    await within(promise, this.#options.gatherMs);
    this.#waiting.delete(resolve);
  }
}
