/**
 * What this isolate issued, each id with its arms (outbox/ledger-entry.ts), on its way to the ledger in the outbox: many in
 * one call, because a call for every request would cost more than the event itself. A request whose id opens a batch keeps
 * the isolate awake until it is noted. What could not be written goes with the next batch.
 */
import { MAX_RECONCILED_IDS } from '../shared/contract/reconciliation.ts';
import { TIMED_OUT, tookLonger, within } from './deadline.ts';

export interface LedgerOptions {
  /** Writes ids down; rejects when it could not. */
  write: (ids: readonly string[]) => Promise<void>;
  /** How long ids are gathered, and what could not be written waits for the next batch. */
  gatherMs: number;
  /** Longest that a call may take. */
  timeoutMs: number;
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  onError: (message: string, error: unknown) => void;
}

/** A batch that is open for so many times `gatherMs` lost the request that was to write it; the next one does. */
const DEAD_AFTER = 2;

/**
 * Most lines of one call, and characters of them: one question to the backend names as many, and a row of the outbox has room.
 * Each call is a write to disk, which stops all else where outbox and isolate share a thread, as under `workerd serve`.
 */
const MAX_IDS = MAX_RECONCILED_IDS;
const MAX_LENGTH = 1_000_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class Ledger {
  readonly #counts = { noted: 0, lost: 0 };
  readonly #options: LedgerOptions;
  #open: string[] | undefined;
  #openedAtMs = 0;
  /** Characters of the open batch. */
  #length = 0;
  /** What no call has written yet, as much as one carries. */
  #unwritten: readonly string[] = [];
  /** Whether the last call failed, which is said once. */
  #isAway = false;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Ids of this isolate: written down, to be tried again, given up. */
  get state(): { noted: number; waiting: number; lost: number } {
    return { ...this.#counts, waiting: this.#unwritten.length };
  }

  /** An id that cannot be noted is said to be so; the event is not held up. */
  note(id: string, waitUntil: (work: Promise<unknown>) => void): void {
    const { now, gatherMs } = this.#options;
    if (this.#open === undefined || this.#open.length === MAX_IDS || this.#length + id.length > MAX_LENGTH) {
      this.#open = [];
      this.#length = 0;
      waitUntil(this.#writeLater(this.#open));
    } else if (now() - this.#openedAtMs > DEAD_AFTER * gatherMs) {
      waitUntil(this.#writeLater(this.#open));
    }
    this.#open.push(id);
    this.#length += id.length;
  }

  async #writeLater(ids: string[]): Promise<void> {
    const { gatherMs, now } = this.#options;
    this.#openedAtMs = now();
    await pause(gatherMs);
    if (this.#open === ids) this.#open = undefined;
    // Taken by one: a request that was only slow, and the one that stood in for it, may both get here.
    await Promise.all([this.#writeAgain(), this.#write(ids.splice(0))]);
    if (this.#unwritten.length === 0) return;
    // There may be no next batch.
    await pause(gatherMs);
    await this.#writeAgain();
  }

  /** Of what waits; taken by one, too. */
  async #writeAgain(): Promise<void> {
    const waiting = this.#unwritten;
    this.#unwritten = [];
    await this.#write(waiting);
  }

  /** A call that breaks off, or is too slow, may have been heard: then its ids are in the ledger twice, and looked for twice. */
  async #write(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const { write, timeoutMs } = this.#options;
    try {
      if ((await within(write(ids), timeoutMs)) === TIMED_OUT) throw tookLonger(timeoutMs);
      this.#counts.noted += ids.length;
      this.#isAway = false;
    } catch (error) {
      this.#keep(ids, error);
    }
  }

  /** For another call, if that carries them with what waits already. */
  #keep(ids: readonly string[], error: unknown): void {
    const { onError } = this.#options;
    const waiting = [...this.#unwritten, ...ids];
    if (waiting.length > MAX_IDS || waiting.reduce((sum, id) => sum + id.length, 0) > MAX_LENGTH) {
      this.#counts.lost += ids.length;
      onError(`${ids.length} issued ids are not in the ledger, the first is ${ids[0]}`, error);
      return;
    }
    this.#unwritten = waiting;
    if (!this.#isAway) onError(`issued ids wait for the ledger, the first of ${ids.length} is ${ids[0]}`, error);
    this.#isAway = true;
  }
}
