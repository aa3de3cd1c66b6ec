import { expect, it } from 'vitest';
import { cachePath } from '../../../edge/cache/cache-port.ts';
import { ColoCache } from '../../../edge/cache/colo.ts';
import { MemoryCache } from '../../../edge/cache/memory.ts';
import { cachePortConformance, key } from '../../conformance/cache-port.ts';
import { cookieOf, edgeUnderTest } from '../under-test.worker.ts';

let count = 0;

/** The Cache API, in a namespace of its own. Its own clock is the machine's, so the tests' clock starts there too. */
function colo() {
  const clock = { nowMs: Date.now() };
  const name = `conformance-${++count}`;
  return {
    cache: new ColoCache({ open: () => caches.open(name) as never, now: () => clock.nowMs, readMs: 10_000 }),
    clock,
    raw: () => caches.open(name),
  };
}

cachePortConformance('ColoCache', async () => colo());

// The same suite in the runtime that counts.
cachePortConformance('MemoryCache in workerd', async () => {
  const clock = { nowMs: Date.now() };
  return { cache: new MemoryCache({ maxBytes: 1_000_000, now: () => clock.nowMs }), clock };
});

it('keeps every dimension of the key in the URL, under a host of its own, and asks the runtime for the hard expiry', async () => {
  const { cache, clock, raw } = colo();
  await cache.put(cachePath(key), {
    body: '{}',
    storedAtMs: clock.nowMs,
    softUntilMs: clock.nowMs + 1_000,
    hardUntilMs: clock.nowMs + 90_500,
  });
  const stored = await (await raw()).match(
    `https://candidates.harness.internal/1/1/7/${key.plan}/us/en-US/${key.queryHash}`,
  );
  expect(stored?.headers.get('cache-control')).toBe('public, max-age=91');
  expect(stored?.headers.has('vary')).toBe(false);
  expect(stored?.headers.has('set-cookie')).toBe(false);
});

it('does not wait for a slow read', async () => {
  const hangs = async () => ({ match: () => new Promise<never>(() => undefined), put: async () => undefined });
  const cache = new ColoCache({ open: hangs, now: Date.now, readMs: 1 });
  expect(await cache.get(cachePath(key))).toBeUndefined();
});

it('takes an entry without our headers for none', async () => {
  const { cache, raw } = colo();
  const url = `https://candidates.harness.internal/${cachePath(key)}`;
  await (await raw()).put(url, new Response('{}', { headers: { 'cache-control': 'max-age=60' } }));
  expect(await cache.get(cachePath(key))).toBeUndefined();
});

it.each([
  ['on', 'colo'],
  ['off', 'miss'],
])(
  'is what a new isolate of the data centre asks, unless it is set aside: CACHE_API = %j',
  async (CACHE_API, status) => {
    const edge = edgeUnderTest({ CACHE_API });
    // One visitor, and so one arm: another's plan has another key.
    const headers = { cookie: cookieOf(await edge.fetch('/v1/ads?q=sofa')) };
    edge.restart();
    expect((await edge.ads('q=sofa', { headers })).cache.status).toBe(status);
    expect(edge.isolate.cache.counts.colo).toBe(status === 'colo' ? 1 : 0);
  },
);
