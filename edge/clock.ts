/** Time and chance, passed in, so that a test can choose them. */
export interface Clock {
  /** UTC milliseconds. */
  now: () => number;
  /** Milliseconds from some start, for durations. */
  elapsed: () => number;
  newId: () => string;
  /** Uniform in [0, 1). */
  random: () => number;
}

/** The runtime's own. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  newId: () => crypto.randomUUID(),
  random: () => Math.random(),
};
