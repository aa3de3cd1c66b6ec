/**
 * What this isolate issued, each id with its arms (outbox/ledger-entry.ts), on its way to the ledger in the outbox: many in
 * one call, because a call for every request would cost more than the event itself. A request whose id opens a batch keeps
 * the isolate awake until it is noted.
 */
import { MAX_RECONCILED_IDS } from '../shared/contract/reconciliation.ts';

export interface LedgerOptions {
  /** Writes ids down; rejects when it could not. */
  write: (ids: readonly string[]) => Promise<void>;
  /** How long ids are gathered. */
  gatherMs: number;
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

export class Ledger {
  readonly #options: LedgerOptions;
  #open: string[] | undefined;
  #openedAtMs = 0;
  /** Characters of the open batch. */
  #length = 0;

  constructor(options: LedgerOptions) {
    this.#options = options;
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
    const { write, gatherMs, now, onError } = this.#options;
    this.#openedAtMs = now();
    await new Promise((resolve) => setTimeout(resolve, gatherMs));
    if (this.#open === ids) this.#open = undefined;
    // Taken by one: a request that was only slow, and the one that stood in for it, may both get here.
    const taken = ids.splice(0);
    if (taken.length === 0) return;
    try {
      await write(taken);
    } catch (error) {
      onError(`${taken.length} issued ids are not in the ledger, the first is ${taken[0]}`, error);
    }
  }
}
