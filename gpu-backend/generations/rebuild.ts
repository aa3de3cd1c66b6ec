/**
 * Builds generations by the policy (rebuild-policy.ts): looks again and again, remembers what the policy needs to know,
 * and reports how the last build ended. A build that the gate refuses, or that fails, leaves the live generation as it
 * was.
 */
import type { Generation } from '../../shared/contract/generations.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Live } from './live.ts';
import { decide, due, type RebuildBounds, type RebuildDecision, type RebuildReason } from './rebuild-policy.ts';

export interface RebuildOptions extends RebuildBounds {
  live: Pick<Live, 'view'>;
  /** Builds and publishes, unless another generation than `over` is live by then: throws `conflict`, and `conflict` where another publication runs. */
  build: (options: { over: number; signal: AbortSignal }) => Promise<Generation>;
  /** A number that changes while ads are on their way but not yet live: rows staged by bulk loads. */
  staged: () => Promise<number>;
  /** Epoch milliseconds that no setting of the system's clock moves. */
  now: () => number;
  onBuilt: (generation: Generation, built: { because: RebuildReason; tookMs: number }) => void;
  /** Called for the first failure in a row, and for each that has another reason than the one before. */
  onFailed: (error: unknown) => void;
}

export interface LastRebuild {
  because: RebuildReason;
  outcome: 'published' | 'failed';
  /** Of the generation that was published; `null` where none was. */
  generation: number | null;
  /** Why none was. */
  reason: string | null;
  /** ISO 8601, UTC. */
  endedAt: string;
  tookMs: number;
}

export interface RebuildState {
  /** What the last look decided. */
  state: 'building' | Extract<RebuildDecision, { do: 'wait' }>['because'];
  last: LastRebuild | null;
}

export interface Rebuilder {
  /** Decides, and builds where that is the decision; resolves when the build has ended, however it did. */
  look(signal: AbortSignal): Promise<void>;
  state(): RebuildState;
  /** Since the start: published for each reason, failed, and when the last one ended (Unix seconds; not a number before). */
  stats(): Record<RebuildReason | 'failures' | 'endedAtSeconds', number>;
}

export function createRebuilder(options: RebuildOptions): Rebuilder {
  const { live, now } = options;
  const counts = { added: 0, gone: 0, damaged: 0, failures: 0 };
  let state: RebuildState['state'] = 'fresh';
  let last: (LastRebuild & { endedAtMs: number; failures: number }) | undefined;
  /** What the look before saw of the live view, and since when it is so. */
  let seen = { number: 0, slots: 0, vacant: 0 };
  let staged = 0;
  let changedAtMs = now();
  let dueSinceMs: number | undefined;
  let keptOutAtMs: number | undefined;

  async function build(because: RebuildReason, over: number, signal: AbortSignal): Promise<void> {
    const began = now();
    const ended = (outcome: Pick<LastRebuild, 'outcome' | 'generation' | 'reason'>, failures: number) => {
      const endedAtMs = now();
      const endedAt = new Date(endedAtMs).toISOString();
      last = { ...outcome, because, endedAt, endedAtMs, tookMs: endedAtMs - began, failures };
    };
    try {
      const generation = await options.build({ over, signal });
      counts[because]++;
      ended({ outcome: 'published', generation: generation.number, reason: null }, 0);
      options.onBuilt(generation, { because, tookMs: now() - began });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof HarnessError && error.code === 'conflict') {
        keptOutAtMs = now();
        return;
      }
      counts.failures++;
      const reason = error instanceof Error ? error.message : String(error);
      const before = last?.outcome === 'failed' ? last : undefined;
      ended({ outcome: 'failed', generation: null, reason }, (before?.failures ?? 0) + 1);
      if (before?.reason !== reason) options.onFailed(error);
    }
  }

  return {
    async look(signal) {
      const { view } = live;
      if (view === undefined) return;
      const { number, ads, delta: added, slots, vacant, broughtBack, standsIn } = view;
      const searched = { ads, added, vacant, standsIn };
      if (number !== seen.number) {
        dueSinceMs = undefined;
        // Whoever published it, what failed before says nothing of it.
        if (last !== undefined) last = { ...last, failures: 0 };
      }
      if (slots !== seen.slots || vacant !== seen.vacant) changedAtMs = now();
      seen = { number, slots, vacant };
      dueSinceMs = due(searched, options) === undefined ? undefined : (dueSinceMs ?? now());
      const decided = () =>
        decide({ ...searched, nowMs: now(), broughtBack, dueSinceMs, changedAtMs, last, keptOutAtMs }, options);
      let decision = decided();
      if (decision.do === 'build') {
        // Asked last: a look costs nothing while there is nothing to do.
        const rows = await options.staged();
        if (rows !== staged) changedAtMs = now();
        staged = rows;
        decision = decided();
      }
      if (decision.do === 'build') {
        state = 'building';
        await build(decision.because, number, signal);
        // The next look says what it found.
      } else state = decision.because;
    },
    state() {
      if (last === undefined) return { state, last: null };
      const { because, outcome, generation, reason, endedAt, tookMs } = last;
      return { state, last: { because, outcome, generation, reason, endedAt, tookMs } };
    },
    stats: () => ({ ...counts, endedAtSeconds: last === undefined ? Number.NaN : last.endedAtMs / 1000 }),
  };
}
