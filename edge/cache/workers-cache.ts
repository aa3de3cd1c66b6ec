/**
 * Workers Caching (https://developers.cloudflare.com/workers/cache/) in front of the entrypoint `Candidates`: one cache for
 * all data centres, in which requests that miss together run the entrypoint once. It reads through and takes nothing that
 * is put, so it is no tier but stands between the tiers and the origins. What a hit skips is that entrypoint alone: the
 * default one, which draws arms, holds auctions and logs impressions, is not cached.
 */
import * as z from 'zod';
import { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { HarnessError, problemResponse } from '../../shared/problem.ts';
import { refusal } from '../backend.ts';
import { TIMED_OUT, within } from '../deadline.ts';
import type { Ask } from '../resilience/origins.ts';
import { type CacheKey, cachePath } from './cache-port.ts';
import type { Lives, Loaded } from './tiered.ts';

/** As much of an entrypoint of this Worker, with the platform's cache in front of it, as is used here. */
export interface Entrypoint {
  fetch(url: string, init: { headers: Record<string, string> }): Promise<Response>;
}

/** What candidates are asked for by; the key alone names everything that the answer depends on. */
export interface Retrieval {
  key: CacheKey;
  request: Omit<RetrieveRequest, 'deadlineMs'>;
  ask: Ask;
}

/** The part of the URL that is in the cache's key is its path. */
const HOST = 'https://candidates.harness.internal';
/** In a header, and so not in the cache's key, because the path says it already; set by this Worker alone. */
const RETRIEVAL = 'harness-retrieval';
const STORED_AT = 'harness-stored-at';
const GENERATION = 'harness-generation';
const EMPTY = 'harness-empty';
const HEDGED = 'harness-hedged';
/** What the platform says of an answer for which the entrypoint did not run, or not before it. */
const CACHED = ['HIT', 'STALE', 'UPDATING', 'REVALIDATED'];

const Travelling = z.lazy(() =>
  RetrieveRequest.unwrap().extend({
    urgent: z.boolean(),
    since: z.int().nonnegative(),
    traceparent: z.string().optional(),
    /** Of the key; `null` where the gateway has heard of none. */
    keyGeneration: z.int().nullable(),
  }),
);

/** The gateway's side. Throws what the entrypoint failed with, `deadline_exceeded` when it does not answer. */
export async function askThrough(entrypoint: Entrypoint, { key, request, ask }: Retrieval): Promise<Loaded> {
  const said = JSON.stringify({ ...request, ...ask, keyGeneration: key.generation });
  const answer = entrypoint
    .fetch(`${HOST}/${cachePath(key)}`, { headers: { [RETRIEVAL]: encodeURIComponent(said) } })
    .then(async (response) => ({ response, text: await response.text() }))
    .catch((cause) => {
      throw new HarnessError('backend_unavailable', `candidates: ${cause}`, { cause });
    });
  const settled = await within(answer, ask.deadlineMs);
  if (settled === TIMED_OUT) {
    throw new HarnessError('deadline_exceeded', `candidates: no answer within ${Math.ceil(ask.deadlineMs)} ms.`);
  }
  const { response, text } = settled;
  if (!response.ok) throw refusal('candidates', response.status, text);
  const { headers } = response;
  const loaded = {
    body: text,
    generation: Number(headers.get(GENERATION)),
    empty: headers.has(EMPTY),
  };
  const cached = CACHED.includes(headers.get('cf-cache-status') ?? '');
  return cached
    ? { ...loaded, cachedAtMs: Number(headers.get(STORED_AT)) }
    : { ...loaded, hedged: headers.has(HEDGED) };
}

export interface CandidatesOptions {
  retrieve: (request: Omit<RetrieveRequest, 'deadlineMs'>, ask: Ask) => Promise<Loaded>;
  lives: Lives;
  now: () => number;
}

/** The entrypoint's side. A failure is not kept, and where an older answer is, the platform gives that instead of a 5xx. */
export async function answerCandidates(
  request: { headers: Headers },
  { retrieve, lives, now }: CandidatesOptions,
): Promise<Response> {
  try {
    const said = decodeURIComponent(request.headers.get(RETRIEVAL) ?? '');
    const { deadlineMs, urgent, since, traceparent, keyGeneration, ...asked } = Travelling.parse(JSON.parse(said));
    const { body, generation, empty, hedged } = await retrieve(asked, { deadlineMs, urgent, since, traceparent });
    const share = empty ? lives.emptyShare : 1;
    const seconds = (ms: number) => Math.floor((share * ms) / 1_000);
    // Without a bound of ours the platform would stand in for an origin that is away for ever.
    const control = [
      `max-age=${seconds(lives.softMs)}`,
      `stale-while-revalidate=${seconds(lives.revalidateMs)}`,
      `stale-if-error=${seconds(lives.hardMs - lives.softMs)}`,
    ];
    // Of an origin that lags behind: the path names a newer generation, for which the list must not stand. Nor for whichever is live when
    // an isolate that has heard of none asks.
    const isOlder = keyGeneration === null || generation < keyGeneration;
    return new Response(body, {
      headers: {
        'content-type': 'application/json',
        'cache-control': isOlder ? 'no-store' : `public, ${control.join(', ')}`,
        [STORED_AT]: String(now()),
        [GENERATION]: String(generation),
        ...(empty ? { [EMPTY]: '1' } : {}),
        ...(hedged ? { [HEDGED]: '1' } : {}),
      },
    });
  } catch (error) {
    return problemResponse(error);
  }
}
