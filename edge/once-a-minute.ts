/** Errors that every request may meet are logged once a minute; counters say how often they came. */

const MINUTE_MS = 60_000;

/** Passes the first call of a minute on to `say`; `now` is a clock that does not go back, in milliseconds. */
export function onceAMinute<T extends unknown[]>(now: () => number, say: (...what: T) => void): (...what: T) => void {
  let saidAtMs = Number.NEGATIVE_INFINITY;
  return (...what) => {
    if (now() - saidAtMs < MINUTE_MS) return;
    saidAtMs = now();
    say(...what);
  };
}
