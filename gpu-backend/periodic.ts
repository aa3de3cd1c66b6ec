/** Work that is done again and again beside the requests: never twice at once, and finished before the service closes. */

export interface PeriodicOptions {
  /** From the end of one run to the beginning of the next. */
  everyMs: number;
  /** `signal` aborts when the work is to end. */
  work: (signal: AbortSignal) => Promise<void>;
  /** A run that failed; the next comes in its time. */
  onError: (error: unknown) => void;
}

/** Begins with the first pause; the returned function ends the work and resolves when a run under way is done. */
export function startPeriodic({ everyMs, work, onError }: PeriodicOptions): () => Promise<void> {
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;
  const wait = () => {
    timer = setTimeout(() => {
      running = work(stopping.signal)
        .catch(onError)
        .then(() => {
          if (!stopping.signal.aborted) wait();
        });
    }, everyMs);
    timer.unref();
  };
  wait();
  return () => {
    stopping.abort();
    clearTimeout(timer);
    return running;
  };
}
