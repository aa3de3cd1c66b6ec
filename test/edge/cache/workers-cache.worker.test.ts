/** Both sides of Workers Caching, and between them what its documentation says it does: the platform's part cannot run here. */
import { describe, expect, it } from 'vitest';
import { cachePath } from '../../../edge/cache/cache-port.ts';
import type { Loaded } from '../../../edge/cache/tiered.ts';
import { answerCandidates, askThrough, type Entrypoint, type Retrieval } from '../../../edge/cache/workers-cache.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';
import { HarnessError } from '../../../shared/problem.ts';
import { key } from '../../conformance/cache-port.ts';
import { edgeUnderTest } from '../under-test.worker.ts';

const T0 = 1_800_000_000_000;
const LIVES = { softMs: 60_000, revalidateMs: 30_000, hardMs: 3_600_000, emptyShare: 0.25 };
const LOADED: Loaded = { body: '{"candidates":["ä"]}', generation: 7, empty: false };
const RETRIEVAL: Retrieval = {
  key,
  request: { query: 'löwe & "co" 👟', normalizerVersion: 1, market: 'us', locale: 'en', plan: DEFAULT_CONFIG.plan },
  ask: { deadlineMs: 20_000, urgent: true, since: 6 },
};

interface Kept {
  body: string;
  status: number;
  headers: Headers;
  atMs: number;
}

/** The cache of all data centres in front of an entrypoint, by https://developers.cloudflare.com/workers/cache/. */
function platform(entrypoint: (request: Request) => Promise<Response>, now: () => number): Entrypoint {
  const kept = new Map<string, Kept>();
  const running = new Map<string, Promise<Kept>>();
  const seconds = ({ headers }: Kept, directive: string) =>
    Number(new RegExp(`${directive}=(\\d+)`).exec(headers.get('cache-control') ?? '')?.[1] ?? 0);
  async function run(path: string, request: Request): Promise<Kept> {
    const response = await entrypoint(request);
    const { status, headers } = response;
    const answer = { body: await response.text(), status, headers: new Headers(headers), atMs: now() };
    if (response.ok && /public/.test(headers.get('cache-control') ?? '') && !headers.has('set-cookie'))
      kept.set(path, answer);
    return answer;
  }
  return {
    async fetch(url, init) {
      const path = new URL(url).pathname + new URL(url).search;
      const collapsed = () => {
        const flight = running.get(path) ?? run(path, new Request(url, init)).finally(() => running.delete(path));
        running.set(path, flight);
        return flight;
      };
      const say = ({ body, status, headers }: Kept, said: string) =>
        new Response(body, { status, headers: [...headers, ['cf-cache-status', said]] });
      const old = kept.get(path);
      const age = old === undefined ? Number.POSITIVE_INFINITY : (now() - old.atMs) / 1_000;
      if (old !== undefined && age < seconds(old, 'max-age')) return say(old, 'HIT');
      if (old !== undefined && age < seconds(old, 'max-age') + seconds(old, 'stale-while-revalidate')) {
        await collapsed();
        return say(old, 'UPDATING');
      }
      const answer = await collapsed();
      const standsIn = old !== undefined && age < seconds(old, 'max-age') + seconds(old, 'stale-if-error');
      return answer.status >= 500 && standsIn ? say(old, 'STALE') : say(answer, 'MISS');
    },
  };
}

/** Gateways over one platform, whose entrypoint asks `retrieve`. */
function under(retrieve: (request: unknown, ask: unknown) => Promise<Loaded>) {
  const clock = { nowMs: T0 };
  const now = () => clock.nowMs;
  const asked: unknown[] = [];
  const entrypoint = (request: Request) =>
    answerCandidates(request, {
      retrieve: (...what) => {
        asked.push(what);
        return retrieve(...what);
      },
      lives: LIVES,
      now,
    });
  return { clock, asked, entrypoint, front: platform(entrypoint, now) };
}

const away = () => Promise.reject(new HarnessError('circuit_open', 'The backend failed too often.'));

describe('candidates through Workers Caching', () => {
  it('are asked of the backend once, by whichever gateway, and come back as they were', async () => {
    const { front, asked, clock } = under(async () => LOADED);
    const all = await Promise.all(Array.from({ length: 20 }, () => askThrough(front, RETRIEVAL)));
    expect(new Set(all.map(({ body }) => body))).toEqual(new Set([LOADED.body]));
    expect(asked).toEqual([[RETRIEVAL.request, RETRIEVAL.ask]]);
    expect(all[0]).toEqual({ ...LOADED, hedged: false });
    clock.nowMs += 59_000;
    expect(await askThrough(front, RETRIEVAL)).toEqual({ ...LOADED, cachedAtMs: T0 });
    expect(asked).toHaveLength(1);
  });

  it('are refreshed behind the answer, then in front of it, and stand in for a failure up to the hard expiry', async () => {
    let load: () => Promise<Loaded> = async () => LOADED;
    const { front, asked, clock } = under(() => load());
    await askThrough(front, RETRIEVAL);
    clock.nowMs = T0 + 89_000;
    load = away;
    expect((await askThrough(front, RETRIEVAL)).cachedAtMs).toBe(T0);
    clock.nowMs = T0 + 3_599_000;
    expect((await askThrough(front, RETRIEVAL)).cachedAtMs).toBe(T0);
    clock.nowMs = T0 + 3_600_000;
    await expect(askThrough(front, RETRIEVAL)).rejects.toMatchObject({ code: 'circuit_open' });
    load = async () => ({ ...LOADED, generation: 8, hedged: true });
    expect(await askThrough(front, RETRIEVAL)).toMatchObject({ generation: 8, hedged: true });
    expect(asked).toHaveLength(5);
  });

  it('live by our soft and hard expiry; an empty list for a quarter of that; a failure not at all', async () => {
    const control = async (retrieve: () => Promise<Loaded>) => {
      const { entrypoint } = under(retrieve);
      let said = '';
      const looking = {
        fetch: async (url: string, init: RequestInit) => {
          const response = await entrypoint(new Request(url, init as never) as never);
          said = response.headers.get('cache-control')!;
          expect(response.headers.get('set-cookie')).toBeNull();
          expect(response.headers.get('vary')).toBeNull();
          return response;
        },
      };
      await askThrough(looking as Entrypoint, RETRIEVAL).catch(() => undefined);
      return said;
    };
    const full = 'public, max-age=60, stale-while-revalidate=30, stale-if-error=3540';
    expect(await control(async () => LOADED)).toBe(full);
    const quarter = 'public, max-age=15, stale-while-revalidate=7, stale-if-error=885';
    expect(await control(async () => ({ ...LOADED, empty: true }))).toBe(quarter);
    expect(await control(away)).toBe('no-store');
  });

  it('are named by their key alone: path, nothing else', async () => {
    const calls: [url: string, init: RequestInit][] = [];
    const spy = {
      fetch: async (...call: (typeof calls)[number]) => {
        calls.push(call);
        return new Response('{}');
      },
    };
    await askThrough(spy as never, RETRIEVAL);
    const { pathname, search } = new URL(calls[0]![0]);
    expect([pathname, search]).toEqual([`/${cachePath(key)}`, '']);
    // Neither credentials, which would keep the answer out of the cache, nor anything of a person.
    expect(Object.keys(calls[0]![1].headers as object)).toEqual(['harness-retrieval']);
  });

  it.each([
    [
      'a page of the platform',
      async () => new Response('<h1>522</h1>', { status: 522 }),
      20_000,
      'backend_unavailable',
    ],
    ['nothing in time', () => new Promise<never>(() => undefined), 20, 'deadline_exceeded'],
    [
      'an entrypoint that breaks',
      () => Promise.reject(new Error('exceeded its memory')),
      20_000,
      'backend_unavailable',
    ],
  ])('%s is a failure with a code', async (_, fetch, deadlineMs, code) => {
    const ask = { deadlineMs, urgent: false, since: 6 };
    await expect(askThrough({ fetch }, { ...RETRIEVAL, ask })).rejects.toMatchObject({ code });
  });
});

it('a list of an older generation than was asked for is not kept under the name of the newer one', async () => {
  const { front, asked } = under(async () => ({ ...LOADED, generation: 6 }));
  for (let i = 0; i < 2; i++) expect((await askThrough(front, RETRIEVAL)).generation).toBe(6);
  expect(asked).toHaveLength(2);
});

it('a list that was asked for before a generation was heard of is kept for nobody', async () => {
  const { front, asked } = under(async () => LOADED);
  for (let i = 0; i < 2; i++) await askThrough(front, { ...RETRIEVAL, key: { ...key, generation: null } });
  expect(asked).toHaveLength(2);
});

it('the edge answers through the entrypoint as it does without it', async () => {
  const edge = edgeUnderTest({ WORKERS_CACHE: 'on' });
  const first = await edge.fetch('/v1/ads?q=shoes');
  const headers = { cookie: first.headers.getSetCookie()[0]!.split(';')[0]! };
  expect(edge.entrypointCalls).toBe(1);
  expect((await edge.ads('q=shoes', { headers })).cache.status).toBe('memory');
  await edge.backend({ retrieve: 'refuse' });
  edge.later(20);
  const stale = await edge.ads('q=shoes', { headers });
  expect(stale).toMatchObject({ cache: { status: 'stale' }, degraded: { rung: 'stale', reason: 'too_many_requests' } });
  expect(stale.slots).toHaveLength(4);
  expect(edge.entrypointCalls).toBe(2);
});
