/**
 * When a call is slow enough to be made a second time, and how many may be (Dean and Barroso, The Tail at Scale, CACM
 * 2013): after the delay that most calls take, and for a share of the calls only, so that an origin in trouble does not
 * get more traffic for it.
 */

/** Second calls, earned by first ones: never more than `share` of them. */
export class HedgeBudget {
  readonly #share: number;
  readonly #most: number;
  #earned = 0;

  /** `most`: second calls that may follow each other at once after a quiet time. */
  constructor(options: { share: number; most: number }) {
    this.#share = options.share;
    this.#most = options.most;
  }

  /** A first call was made. */
  earn(): void {
    this.#earned = Math.min(this.#most, this.#earned + this.#share);
  }

  get allows(): boolean {
    // Ten earnings of 0.1 are 0.9999999999999999.
    return this.#earned >= 1 - 1e-9;
  }

  /** To be called only while it {@link allows}. */
  spend(): void {
    this.#earned -= 1;
  }
}

/** Latencies learnt between two readings of the quantile: sorting for every call would cost more than it tells. */
const READ_EVERY = 16;

/** A quantile of the latest latencies, learnt from this isolate's own calls. */
export class LatencyQuantile {
  readonly #quantile: number;
  readonly #least: number;
  readonly #latest: Float64Array;
  #recorded = 0;
  #ms: number | undefined;

  /** `size` latencies are remembered; `least` are needed before anything is said. */
  constructor(options: { quantile: number; size: number; least: number }) {
    this.#quantile = options.quantile;
    this.#least = options.least;
    this.#latest = new Float64Array(options.size);
  }

  record(ms: number): void {
    this.#latest[this.#recorded % this.#latest.length] = ms;
    this.#recorded += 1;
    const { length } = this.#latest;
    if (this.#recorded < this.#least) return;
    if (this.#ms !== undefined && this.#recorded % READ_EVERY !== 0) return;
    const sorted = this.#latest.slice(0, Math.min(this.#recorded, length)).sort();
    this.#ms = sorted[Math.min(sorted.length - 1, Math.floor(this.#quantile * sorted.length))];
  }

  /** Milliseconds; `undefined` before enough is known. */
  get ms(): number | undefined {
    return this.#ms;
  }
}
