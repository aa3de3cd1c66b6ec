/**
 * Asking for candidates where there may be two origins: the first whose breaker is closed, and, for a request that has
 * nothing else to show, a second call when the first is slow or away, or refuses and there is another. The answer that comes first counts, and the other
 * call is cancelled. Retrieval changes nothing, so it may be made twice.
 */
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Backend } from '../backend.ts';
import type { Loaded } from '../cache/tiered.ts';
import { TIMED_OUT, within } from '../deadline.ts';
import { requireReached } from '../takedown/reach.ts';
import type { CircuitBreaker, Passage } from './circuit-breaker.ts';
import type { HedgeBudget, LatencyQuantile } from './hedge.ts';

export interface Origin {
  backend: Pick<Backend, 'retrieve'>;
  breaker: CircuitBreaker;
}

export interface OriginsOptions {
  /** In the order in which they are asked. */
  origins: readonly Origin[];
  budget: HedgeBudget;
  latency: LatencyQuantile;
  /** Milliseconds from some start. */
  elapsed: () => number;
}

/** What a call may cost. */
export interface Ask {
  /** Longest wait; the backend is told what is left of it, and refuses what it cannot do in that time. */
  deadlineMs: number;
  /** Nothing can stand in for the answer: worth a second call. */
  urgent: boolean;
  /** The oldest generation whose candidates may be shown: those of an older one are as good as none. */
  since: number;
  /** Header by which the backend continues the visit's trace. */
  traceparent?: string | undefined;
}

type Call = (backend: Origin['backend'], cancelled: AbortSignal) => Promise<Loaded>;

/** The shortest wait that is worth a call. */
const LEAST_MS = 50;

interface Attempt {
  origin: Origin;
  answer: Promise<Loaded>;
  cancel: () => void;
}

/** The origin failed, as opposed to having refused this request. */
const isAway = (error: unknown) => error instanceof HarnessError && error.status >= 500;

export class Origins {
  readonly counts = { calls: 0, hedged: 0, hedgeWon: 0, elsewhere: 0, refused: 0, outdated: 0 };
  readonly #options: OriginsOptions;

  constructor(options: OriginsOptions) {
    this.#options = options;
  }

  /** States of the breakers, in the order of the origins. */
  get breakers(): { state: CircuitBreaker['state']; opened: number; closed: number; refused: number }[] {
    return this.#options.origins.map(({ breaker }) => ({ state: breaker.state, ...breaker.counts }));
  }

  /** Delay after which a call is slow; `null` before that is known. */
  get hedgeAfterMs(): number | null {
    return this.#options.latency.ms ?? null;
  }

  /**
   * The first answer, `hedged` when it is not that of the first call to the first origin. Throws `circuit_open` without
   * asking anybody, otherwise what the first call failed with.
   */
  async retrieve(request: Omit<RetrieveRequest, 'deadlineMs'>, ask: Ask): Promise<Loaded> {
    const { deadlineMs, urgent, since, traceparent } = ask;
    const { budget, elapsed, latency, origins } = this.#options;
    const startedAt = elapsed();
    const left = () => Math.max(LEAST_MS, deadlineMs - (elapsed() - startedAt));
    const call: Call = (backend, cancelled) =>
      backend.retrieve({ ...request, deadlineMs: left() }, { cancelled, traceparent });
    const first = this.#attempt(origins, call, since);
    if (first === undefined) {
      this.counts.refused += 1;
      throw new HarnessError('circuit_open', 'The backend failed too often just now; it is asked again in seconds.');
    }
    this.counts.calls += 1;
    budget.earn();
    const elsewhere = first.origin !== origins[0];
    if (elsewhere) this.counts.elsewhere += 1;
    if (!urgent) return { ...(await first.answer), hedged: elsewhere };

    const early = await within(
      first.answer.then(
        (loaded) => ({ loaded }),
        (error: unknown) => ({ error }),
      ),
      latency.ms ?? deadlineMs,
    );
    if (early !== TIMED_OUT && 'loaded' in early) return { ...early.loaded, hedged: elsewhere };
    // Another origin, which has its own load, keys and version; else the same one again, unless it refused.
    const others = origins.filter((origin) => origin !== first.origin);
    const refused = early !== TIMED_OUT && !isAway(early.error);
    const order = refused ? others : [...others, first.origin];
    const second = budget.allows ? this.#attempt(order, call, since) : undefined;
    if (second === undefined) return { ...(await first.answer), hedged: elsewhere };
    budget.spend();
    this.counts.hedged += 1;
    try {
      const winner = await Promise.any(
        [first, second].map(async (attempt) => ({ loaded: await attempt.answer, won: attempt === second })),
      );
      if (winner.won) this.counts.hedgeWon += 1;
      return { ...winner.loaded, hedged: winner.won || elsewhere };
    } catch (error) {
      throw (error as AggregateError).errors[0];
    } finally {
      // What is left unread would hold one of the Worker's six connections.
      first.cancel();
      second.cancel();
    }
  }

  /** A call to the first of the origins that may be called; `undefined` when none may. */
  #attempt(order: readonly Origin[], call: Call, since: number): Attempt | undefined {
    for (const origin of order) {
      const passage = origin.breaker.enter();
      if (passage === undefined) continue;
      const cancelled = new AbortController();
      const called = call(origin.backend, cancelled.signal);
      const answer = this.#watched(called, { passage, since, cancelled: cancelled.signal });
      return { origin, answer, cancel: () => cancelled.abort() };
    }
    return undefined;
  }

  /** Tells breaker and latency what became of a call. */
  async #watched(
    call: Promise<Loaded>,
    { passage, since, cancelled }: { passage: Passage; since: number; cancelled: AbortSignal },
  ): Promise<Loaded> {
    const { elapsed, latency, origins } = this.#options;
    const startedAt = elapsed();
    try {
      const loaded = await call;
      latency.record(elapsed() - startedAt);
      // A single one may be a balancer: for one backend behind it that is too far behind, all would be left alone.
      if (origins.length === 1) passage.succeeded();
      if (loaded.generation < since) this.counts.outdated += 1;
      requireReached(loaded.generation, since);
      passage.succeeded();
      return loaded;
    } catch (error) {
      // A call that was given up, by its deadline or for a faster one, took at least so long.
      const givenUp = cancelled.aborted || (error instanceof HarnessError && error.code === 'deadline_exceeded');
      if (givenUp) latency.record(elapsed() - startedAt);
      if (cancelled.aborted) passage.abandoned();
      else if (isAway(error)) passage.failed();
      else passage.succeeded();
      throw error;
    }
  }
}
