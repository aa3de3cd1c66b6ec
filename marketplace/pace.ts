/** How fast simulated time goes: without waiting at all, or so many times faster than the clock on the wall. */

export interface Pace {
  /** Resolves when the simulated instant is there, or when the traffic is stopped. */
  until(atMs: number): Promise<void>;
}

/** As fast as the edge answers. */
export const FLAT_OUT: Pace = { until: () => Promise.resolve() };

export interface PaceOptions {
  /** Simulated time at the start, UTC milliseconds. */
  readonly fromMs: number;
  /** Simulated milliseconds in a millisecond. */
  readonly speed: number;
  readonly signal?: AbortSignal;
  /** Milliseconds since some instant. */
  readonly clock?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Simulated time beside real time. One who is late does not wait, so a slow edge makes the traffic late, not less. */
export function steady({ fromMs, speed, signal, clock = () => performance.now(), wait = sleep }: PaceOptions): Pace {
  const startedAt = clock();
  return {
    async until(atMs) {
      const ms = (atMs - fromMs) / speed - (clock() - startedAt);
      if (ms > 0 && !signal?.aborted) await wait(ms, signal);
    },
  };
}

/** Ends early when the signal is given. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end, { once: true });
  });
}
