/** Time and chance, passed in, so that a test can choose them. */
export interface Clock {
  /** UTC milliseconds. */
  now: () => number;
  /** Milliseconds from some start, for durations; does not go back. */
  elapsed: () => number;
  newId: () => string;
  /** Uniform in [0, 1). */
  random: () => number;
}

/** How far a clock may go back and still be taken for one that was read late, as by a request that waited long. */
const STEP_MS = 1_000;

/**
 * The clock for durations that does not go back, by one that may: the machine's is set, and in workerd
 * `performance.now` goes by it. Where that is set back, this one continues from where it was; otherwise what was
 * remembered in the hour before would count as new for an hour.
 */
export function forward(clock: () => number): () => number {
  let [shift, latest] = [0, Number.NEGATIVE_INFINITY];
  return () => {
    const at = clock() + shift;
    if (at < latest - STEP_MS) shift += latest - at;
    latest = Math.max(latest, at);
    return latest;
  };
}

/** The runtime's own. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: forward(() => performance.now()),
  newId: () => crypto.randomUUID(),
  random: () => Math.random(),
};
