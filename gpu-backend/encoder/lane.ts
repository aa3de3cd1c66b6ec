/** What computes the batches of the encoder's queue. Adapter: a worker thread (pool.ts). */
import { HarnessError } from '../../shared/problem.ts';

/** Of texts that were handed over together. */
export interface Computed {
  /** [texts, dimension]. */
  vectors: Float32Array;
  /** Tokens read of each text; 0 of one that was withdrawn or too late, and so was not computed. */
  tokens: Int32Array;
  /** What was computed at once, one object for all that was: how many texts, and in how many milliseconds. */
  batch: { texts: number; tookMs: number };
}

export interface Handed {
  computed: Promise<Computed>;
  /** Nobody wants this text any more; it is not computed unless it is already. */
  withdraw(index: number): void;
}

/**
 * Computes texts that nobody withdraws in time; what it is handed while it is at work it may compute together. Lanes work beside
 * each other. Epoch milliseconds; `cost` in tokens, by estimate.
 */
export type Lane = (texts: string[], options: { deadlinesAtMs: number[]; cost: number }) => Handed;

/** A lane that throws this is not used again; its batch fails with it. */
export class LaneLost extends HarnessError {
  constructor(why: string) {
    super('internal', `The encoder lost a worker: ${why}.`);
  }
}
