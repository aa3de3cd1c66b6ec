/**
 * A circuit breaker (Nygard, Release It!, 2007): an origin that mostly fails is not asked for a while, then asked by one
 * request at a time, and by all again once those succeed. It knows this isolate's calls only, counted over a sliding
 * window of slots. Nothing here waits: time is read from the clock that comes in.
 */
export interface BreakerOptions {
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  /** How long an outcome counts, to within a tenth. */
  windowMs: number;
  /** It opens when so many calls of the window failed... */
  minFailures: number;
  /** ...and they are at least this share of those that ended. */
  failureShare: number;
  /** How long nobody is let through. */
  openMs: number;
  /** Probes that must succeed in a row before it closes. */
  probes: number;
  /** When a probe that never reported, because its request died, is given up. */
  probeMs: number;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** A call that was let through says once what became of it; later words, and those of an earlier state, change nothing. */
export interface Passage {
  succeeded(): void;
  failed(): void;
  /** The caller stopped waiting: this says nothing about the origin. */
  abandoned(): void;
}

const SLOTS = 10;

export class CircuitBreaker {
  readonly counts = { opened: 0, closed: 0, refused: 0 };
  readonly #options: BreakerOptions;
  /** Outcomes by slot of the window; a slot is `windowMs / 10` long. */
  #window: { slot: number; failed: number; succeeded: number }[] = [];
  /** `undefined` while closed. */
  #openUntilMs: number | undefined;
  #probesLeft = 0;
  #probeStartedAtMs: number | undefined;
  /** Grows with every change of state, so that calls of an earlier state are told apart. */
  #era = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    if (this.#openUntilMs === undefined) return 'closed';
    return this.#options.now() < this.#openUntilMs ? 'open' : 'half-open';
  }

  /** Leave to call the origin; `undefined` when it must not be called now. */
  enter(): Passage | undefined {
    const { now, probeMs } = this.#options;
    const { state } = this;
    const probing = this.#probeStartedAtMs !== undefined && now() - this.#probeStartedAtMs < probeMs;
    if (state === 'open' || (state === 'half-open' && probing)) {
      this.counts.refused += 1;
      return undefined;
    }
    if (state === 'half-open') {
      // Another probe: whatever the one before it still says comes too late.
      this.#era += 1;
      this.#probeStartedAtMs = now();
    }
    const era = this.#era;
    let said = false;
    const once = (act: () => void) => () => {
      if (!said && era === this.#era) act();
      said = true;
    };
    return {
      succeeded: once(() => (state === 'closed' ? this.#count(0, 1) : this.#probed())),
      failed: once(() => (state === 'closed' ? this.#count(1, 0) : this.#open())),
      abandoned: once(() => {
        this.#probeStartedAtMs = undefined;
      }),
    };
  }

  #count(failed: number, succeeded: number): void {
    const { now, windowMs, minFailures, failureShare } = this.#options;
    const slot = Math.floor((now() * SLOTS) / windowMs);
    this.#window = this.#window.filter((old) => old.slot > slot - SLOTS);
    const current = this.#window.find((old) => old.slot === slot);
    if (current === undefined) this.#window.push({ slot, failed, succeeded });
    else {
      current.failed += failed;
      current.succeeded += succeeded;
    }
    const failures = this.#window.reduce((sum, each) => sum + each.failed, 0);
    const calls = this.#window.reduce((sum, each) => sum + each.succeeded, failures);
    if (failures >= minFailures && failures >= failureShare * calls) this.#open();
  }

  #open(): void {
    const { now, openMs, probes } = this.#options;
    this.counts.opened += 1;
    this.#era += 1;
    this.#openUntilMs = now() + openMs;
    this.#probesLeft = probes;
    this.#probeStartedAtMs = undefined;
  }

  #probed(): void {
    this.#probeStartedAtMs = undefined;
    this.#probesLeft -= 1;
    if (this.#probesLeft > 0) return;
    this.counts.closed += 1;
    this.#era += 1;
    this.#openUntilMs = undefined;
    this.#window = [];
  }
}
