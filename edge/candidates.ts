/** The candidate list of a query under a plan: from the cache, from an origin, or, when neither has one, empty with a reason. */
import type { CacheStatus, Rung } from '../shared/contract/query-route.ts';
import { LIST_VERSION, type RetrieveResponse } from '../shared/contract/retrieve.ts';
import { HarnessError } from '../shared/problem.ts';
import { NORMALIZER_VERSION } from '../shared/text.ts';
import type { AdsRequest } from './ads-request.ts';
import { type CacheEntry, type CacheKey, queryHash } from './cache/cache-port.ts';
import type { Isolate } from './isolate.ts';
import type { KeyedPlan } from './serving.ts';
import { requireReached } from './takedown/reach.ts';

export interface Retrieved {
  /** `null` on the empty rung; the model is `null` on that of the head. */
  answer: (Pick<RetrieveResponse, 'candidates' | 'generation'> & { model: string | null }) | null;
  cache: { status: CacheStatus; ageMs: number };
  rung: Rung;
  /** Code of the failure that led to a rung other than fresh. */
  reason: string | undefined;
  /** Spent on the backend by this request, in vain too; all 0 on a hit. */
  timings: { backendMs: number; encodeMs: number; searchMs: number };
}

/** Decoded once an entry: the memory tier hands out the same object for every hit. */
const decoded = new WeakMap<CacheEntry, RetrieveResponse>();

function decode(entry: CacheEntry): RetrieveResponse {
  let answer = decoded.get(entry);
  if (answer === undefined) {
    // Checked against the schema when the backend gave it.
    answer = JSON.parse(entry.body) as RetrieveResponse;
    decoded.set(entry, answer);
  }
  return answer;
}

/** By plan, of requests that are remembered (ads-request.ts). */
const keys = new WeakMap<AdsRequest, Map<string, CacheKey>>();

async function makeKey(request: AdsRequest, plan: string, generation: number | null): Promise<CacheKey> {
  const { market, locale, normalized } = request;
  const known = keys.get(request) ?? new Map<string, CacheKey>();
  const hash = known.values().next().value?.queryHash ?? (await queryHash(normalized));
  const key: CacheKey = {
    listVersion: LIST_VERSION,
    normalizerVersion: NORMALIZER_VERSION,
    generation,
    plan,
    market,
    locale,
    queryHash: hash,
  };
  keys.set(request, known.set(plan, key));
  return key;
}

/** The key of the request's list under a plan, the same object while it is remembered. */
function keyOf(request: AdsRequest, plan: string, generation: number | null): CacheKey | Promise<CacheKey> {
  const known = keys.get(request)?.get(plan);
  return known?.generation === generation ? known : makeKey(request, plan, generation);
}

export interface RetrieveContext {
  /** The header for a call to the backend; asked for on a miss only. */
  trace: () => string;
  waitUntil: (work: Promise<unknown>) => void;
}

/** What a list is found with. */
export type CandidateSources = Pick<Isolate, 'settings' | 'clock' | 'config' | 'serving' | 'cache' | 'retrieve'>;

/** Never throws for a backend that is away, slow or refusing: that is what the ladder is for. */
export async function retrieve(
  sources: CandidateSources,
  request: AdsRequest,
  { plan, fingerprint }: KeyedPlan,
  { trace, waitUntil }: RetrieveContext,
): Promise<Retrieved> {
  const { settings, clock, cache, config } = sources;
  const { normalized: query, market, locale } = request;
  const startedAt = clock.elapsed();
  const remainingMs = () => Math.max(50, settings.backendDeadlineMs - (clock.elapsed() - startedAt));
  const noTimings = { backendMs: 0, encodeMs: 0, searchMs: 0 };
  const key = await keyOf(request, fingerprint, config.generation);
  try {
    const { entry, status, ageMs, reason, hedged } = await cache.find({
      key,
      load: ({ urgent }) =>
        sources.retrieve({
          key,
          request: { query, normalizerVersion: NORMALIZER_VERSION, market, locale, plan },
          ask: { deadlineMs: remainingMs(), urgent, since: sources.serving().killedSince, traceparent: trace() },
        }),
      waitUntil,
    });
    const answer = decode(entry);
    // The list of this moment: others may have asked by an older one, in another isolate or before.
    requireReached(answer.generation, sources.serving().killedSince);
    const backendMs = clock.elapsed() - startedAt;
    const { encodeMs, searchMs } = answer.timings;
    const waited = reason === undefined ? noTimings : { ...noTimings, backendMs };
    return {
      answer,
      cache: { status, ageMs },
      // A stale list that is being refreshed in good time is the cache's normal way, not a rung down.
      rung: reason !== undefined ? 'stale' : hedged ? 'hedge' : 'fresh',
      reason,
      timings: status === 'miss' ? { backendMs, encodeMs, searchMs } : waited,
    };
  } catch (error) {
    if (!(error instanceof HarnessError)) throw error;
    return {
      answer: null,
      cache: { status: 'miss', ageMs: 0 },
      rung: 'empty',
      reason: error.code,
      timings: { ...noTimings, backendMs: clock.elapsed() - startedAt },
    };
  }
}
