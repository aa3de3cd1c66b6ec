/** The backends that are asked for candidates, each behind a breaker, with a budget for second calls. */
import type { Backend } from '../backend.ts';
import type { EdgeSettings } from '../env.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { HedgeBudget, LatencyQuantile } from './hedge.ts';
import { Origins } from './origins.ts';

/** An origin that fails is left alone for two seconds, then probed. */
const BREAKER = { windowMs: 10_000, minFailures: 5, failureShare: 0.5, openMs: 2_000, probes: 2 };
/** A call slower than most is made again, and at most so many again in a row. */
const LATENCY = { quantile: 0.95, size: 256, least: 20 };
const HEDGES_AT_ONCE = 10;

export interface GuardedOriginsOptions {
  /** In the order in which they are asked. */
  backends: readonly Backend[];
  settings: EdgeSettings;
  /** Milliseconds of a clock that does not go back, for the breakers. */
  steady: () => number;
  /** Milliseconds from some start. */
  elapsed: () => number;
}

export function guardedOrigins({ backends, settings, steady, elapsed }: GuardedOriginsOptions): Origins {
  const probeMs = 2 * settings.backendDeadlineMs;
  return new Origins({
    origins: backends.map((backend) => ({
      backend,
      breaker: new CircuitBreaker({ ...BREAKER, now: steady, probeMs }),
    })),
    budget: new HedgeBudget({ share: settings.hedgeShare, most: HEDGES_AT_ONCE }),
    latency: new LatencyQuantile(LATENCY),
    elapsed,
  });
}
