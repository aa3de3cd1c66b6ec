import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CacheEntry, type CachePort, cachePath } from '../../../edge/cache/cache-port.ts';
import { MemoryCache } from '../../../edge/cache/memory.ts';
import { type Loaded, type Lookup, TieredCache, type TieredOptions } from '../../../edge/cache/tiered.ts';
import { fingerprint, Plan } from '../../../shared/plan.ts';
import { HarnessError } from '../../../shared/problem.ts';
import { key, NEIGHBOURS } from '../../conformance/cache-port.ts';

beforeEach(() => void vi.useFakeTimers({ now: 1_800_000_000_000 }));
afterEach(() => void vi.useRealTimers());

const FOLLOW_MS = 500;

function tiered(tiers?: CachePort[], options: Partial<TieredOptions> = {}) {
  const near = new MemoryCache({ maxBytes: 1_000_000, now: Date.now });
  const cache = new TieredCache({
    tiers: tiers ?? [near],
    now: Date.now,
    // Counts from elsewhere: the one must not be taken for the other.
    steady: () => Date.now() - 1_700_000_000_000,
    random: () => 0,
    softMs: 60_000,
    revalidateMs: 0,
    hardMs: 3_600_000,
    emptyShare: 0.25,
    followMs: FOLLOW_MS,
    onTierError: (_, error) => expect.fail(String(error)),
    ...options,
  });
  return { cache, near };
}

const loaded: Loaded = { body: '"list"', generation: 7, empty: false };
const lookup = (load: Lookup['load'], overrides: Partial<Lookup> = {}): Lookup => ({
  key,
  load,
  waitUntil: () => undefined,
  ...overrides,
});
const away = () => Promise.reject(new HarnessError('backend_unavailable', 'away'));

describe('single flight', () => {
  it('lets one call serve all that ask meanwhile', async () => {
    const { cache } = tiered();
    const { promise, resolve } = Promise.withResolvers<Loaded>();
    const load = vi.fn(() => promise);
    const found = Promise.all(Array.from({ length: 100 }, () => cache.find(lookup(load))));
    await vi.advanceTimersByTimeAsync(FOLLOW_MS - 1);
    resolve(loaded);
    expect(new Set((await found).map(({ status, entry }) => status + entry.body))).toEqual(new Set(['miss"list"']));
    expect(load).toHaveBeenCalledTimes(1);
  });

  it('goes on beside the calls for other queries', async () => {
    const { cache } = tiered();
    const { promise, resolve } = Promise.withResolvers<Loaded>();
    const load = vi.fn(() => promise);
    const found = ['one', 'other', 'one', 'other'].map((queryHash) =>
      cache.find(lookup(load, { key: { ...key, queryHash } })),
    );
    await vi.advanceTimersByTimeAsync(0);
    resolve(loaded);
    await Promise.all(found);
    expect(load).toHaveBeenCalledTimes(2);
  });

  it.each([true, false])('tells all that it serves whether the list came by a hedge: %s', async (hedged) => {
    const { cache } = tiered();
    const load = async () => (hedged ? { ...loaded, hedged } : loaded);
    const found = await Promise.all([cache.find(lookup(load)), cache.find(lookup(load))]);
    expect(found.map((each) => each.hedged)).toEqual([hedged, hedged]);
  });

  it('does not let a leader that died hang its followers, nor those who come later', async () => {
    const { cache } = tiered();
    const dead = vi.fn(() => new Promise<Loaded>(() => undefined));
    void cache.find(lookup(dead));
    const alive = vi.fn(async () => loaded);
    const followers = Promise.all(Array.from({ length: 10 }, () => cache.find(lookup(alive))));
    await vi.advanceTimersByTimeAsync(FOLLOW_MS);
    expect(await followers).toMatchObject(Array(10).fill({ entry: { body: '"list"' }, hedged: false }));
    expect(alive).toHaveBeenCalledTimes(1);
    expect((await cache.find(lookup(alive))).status).toBe('memory');
  });

  it('gives up following after two dead leaders and calls for itself', async () => {
    const { cache } = tiered();
    const dead = () => new Promise<Loaded>(() => undefined);
    void cache.find(lookup(dead));
    void cache.find(lookup(dead));
    const follower = cache.find(lookup(async () => loaded));
    await vi.advanceTimersByTimeAsync(2 * FOLLOW_MS);
    expect((await follower).entry.body).toBe('"list"');
  });

  it('calls after a dead leader though there is a stale list, which stands in only when that fails', async () => {
    for (const [load, expected] of [
      [async () => ({ ...loaded, body: '"new"' }), { status: 'miss', entry: { body: '"new"' } }],
      [away, { status: 'stale', entry: { body: '"list"' }, reason: 'backend_unavailable' }],
    ] as const) {
      const { cache } = tiered();
      await cache.find(lookup(async () => loaded));
      vi.setSystemTime(Date.now() + 60_000);
      void cache.find(lookup(() => new Promise<Loaded>(() => undefined)));
      const follower = cache.find(lookup(load));
      await vi.advanceTimersByTimeAsync(FOLLOW_MS);
      expect(await follower).toMatchObject(expected);
    }
  });

  it('calls a slow backend once a wait, however many ask', async () => {
    const { cache } = tiered();
    const slow = vi.fn(
      () =>
        new Promise<Loaded>((_, reject) =>
          setTimeout(reject, 2 * FOLLOW_MS + 50, new HarnessError('deadline_exceeded', 'slow')),
        ),
    );
    const all = Promise.allSettled(Array.from({ length: 100 }, () => cache.find(lookup(slow))));
    await vi.advanceTimersByTimeAsync(4 * FOLLOW_MS + 50);
    expect(new Set((await all).map(({ status }) => status))).toEqual(new Set(['rejected']));
    expect(slow).toHaveBeenCalledTimes(3);
  });

  it('leaves the call that took its place in the air when it lands late', async () => {
    const { cache } = tiered();
    const [late, second] = [Promise.withResolvers<Loaded>(), Promise.withResolvers<Loaded>()];
    void cache.find(lookup(() => late.promise)).catch(() => undefined);
    const load = vi.fn(() => second.promise);
    const follower = cache.find(lookup(load));
    await vi.advanceTimersByTimeAsync(FOLLOW_MS);
    late.reject(new HarnessError('deadline_exceeded', 'slow'));
    await vi.advanceTimersByTimeAsync(0);
    const third = cache.find(lookup(load));
    await vi.advanceTimersByTimeAsync(0);
    second.resolve(loaded);
    await Promise.all([follower, third]);
    expect(load).toHaveBeenCalledTimes(1);
  });

  it('waits for no leader that must have died, and does not take it for a refresh under way', async () => {
    const { cache } = tiered(undefined, { revalidateMs: 30_000 });
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 60_000);
    const dead = vi.fn(() => new Promise<Loaded>(() => undefined));
    expect((await cache.find(lookup(dead))).status).toBe('stale');
    const alive = vi.fn(async () => loaded);
    vi.setSystemTime(Date.now() + 4 * FOLLOW_MS);
    expect((await cache.find(lookup(alive))).status).toBe('stale');
    expect(alive).not.toHaveBeenCalled();
    vi.setSystemTime(Date.now() + 1);
    expect((await cache.find(lookup(alive))).status).toBe('stale');
    expect(alive).toHaveBeenCalledTimes(1);

    const other = { ...key, queryHash: 'other' };
    void cache.find(lookup(dead, { key: other }));
    await vi.advanceTimersByTimeAsync(4 * FOLLOW_MS + 1);
    expect((await cache.find(lookup(alive, { key: other }))).status).toBe('miss');
  });

  it('shares a failure too, and starts anew after it', async () => {
    const { cache } = tiered();
    const load = vi.fn(away);
    const all = await Promise.allSettled(Array.from({ length: 5 }, () => cache.find(lookup(load))));
    expect(all.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
    expect(load).toHaveBeenCalledTimes(1);
    await expect(cache.find(lookup(load))).rejects.toThrow('away');
    expect(load).toHaveBeenCalledTimes(2);
  });

  it('keeps the leader alive for its followers, and never leaves a rejection unhandled', async () => {
    const { cache } = tiered();
    const work: Promise<unknown>[] = [];
    await expect(cache.find(lookup(away, { waitUntil: (promise) => work.push(promise) }))).rejects.toThrow('away');
    expect(work.length).toBeGreaterThan(0);
    await Promise.all(work);
  });
});

describe('the ladder', () => {
  it('asks again after the soft expiry, and takes the stale list only when that fails', async () => {
    const { cache } = tiered();
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 59_999);
    expect(await cache.find(lookup(away))).toMatchObject({ status: 'memory', ageMs: 59_999 });
    vi.setSystemTime(Date.now() + 1);
    expect(await cache.find(lookup(away))).toMatchObject({
      status: 'stale',
      ageMs: 60_000,
      reason: 'backend_unavailable',
    });
    expect(await cache.find(lookup(async () => ({ ...loaded, body: '"new"' })))).toMatchObject({ status: 'miss' });
    expect((await cache.find(lookup(away))).entry.body).toBe('"new"');
    expect(cache.counts).toEqual({ miss: 2, memory: 2, colo: 0, kv: 0, stale: 1, bypass: 0 });
  });

  it('does not hide a fault of our own behind a stale list', async () => {
    const { cache } = tiered();
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 60_000);
    await expect(cache.find(lookup(() => Promise.reject(new TypeError('bug'))))).rejects.toThrow('bug');
  });

  it('copies what a far tier had into the near ones', async () => {
    const near = new MemoryCache({ maxBytes: 1_000_000, now: Date.now });
    const far = named('colo', new MemoryCache({ maxBytes: 1_000_000, now: Date.now }));
    await tiered([far]).cache.find(lookup(async () => loaded));
    const put = vi.spyOn(far, 'put');
    const farthest: CachePort = { status: 'kv', get: async () => undefined, put };
    const { cache } = tiered([near, far, farthest]);
    expect((await cache.find(lookup(away))).status).toBe('colo');
    expect((await cache.find(lookup(away))).status).toBe('memory');
    expect(put).not.toHaveBeenCalled();
  });

  it('prefers a fresh list from afar to a stale one nearby', async () => {
    const near = new MemoryCache({ maxBytes: 1_000_000, now: Date.now });
    const far = named('colo', new MemoryCache({ maxBytes: 1_000_000, now: Date.now }));
    await tiered([near]).cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 60_000);
    await tiered([far]).cache.find(lookup(async () => ({ ...loaded, body: '"newer"' })));
    const { entry, status } = await tiered([near, far]).cache.find(lookup(away));
    expect([entry.body, status]).toEqual(['"newer"', 'colo']);
  });

  it.each([
    ['afar', 1],
    ['nearby', 0],
  ])('takes the newer of two stale lists where that is %s, and puts no older one in its place', async (_, newer) => {
    const near = new MemoryCache({ maxBytes: 1_000_000, now: Date.now });
    const far = named('colo', new MemoryCache({ maxBytes: 1_000_000, now: Date.now }));
    await tiered([newer === 1 ? near : far]).cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 1_800_000);
    await tiered([newer === 1 ? far : near]).cache.find(lookup(async () => ({ ...loaded, body: '"newer"' })));
    vi.setSystemTime(Date.now() + 60_000);
    const found = await tiered([near, far]).cache.find(lookup(away));
    expect(found).toMatchObject({ status: 'stale', ageMs: 60_000, entry: { body: '"newer"' } });
    const kept = await Promise.all([near, far].map((tier) => tier.get(cachePath(key))));
    expect(kept.map((entry) => entry?.body)[newer]).toBe('"newer"');
  });

  it('goes on without a tier that fails, and says so', async () => {
    const broken: CachePort = {
      status: 'colo',
      get: () => Promise.reject(new Error('get')),
      put: () => Promise.reject(new Error('put')),
    };
    const onTierError = vi.fn();
    const { cache } = tiered([broken], { onTierError });
    expect((await cache.find(lookup(async () => loaded))).status).toBe('miss');
    await vi.runAllTimersAsync();
    expect(onTierError.mock.calls).toEqual([
      ['colo', new Error('get')],
      ['colo', new Error('put')],
    ]);
  });

  it.each(['of the backend', 'from afar'])(
    'answers before a tier has taken the list %s, and keeps the request alive until then',
    async (from) => {
      const put = Promise.withResolvers<void>();
      const slow: CachePort = { status: 'memory', get: async () => undefined, put: () => put.promise };
      const far = named('colo', new MemoryCache({ maxBytes: 1_000_000, now: Date.now }));
      if (from === 'from afar') await tiered([far]).cache.find(lookup(async () => loaded));
      const work: Promise<unknown>[] = [];
      const waitUntil = (promise: Promise<unknown>) => void work.push(promise);
      const found = tiered([slow, far]).cache.find(lookup(async () => loaded, { waitUntil }));
      expect((await found).entry.body).toBe('"list"');
      const ended = vi.fn();
      void Promise.all(work).then(ended);
      await vi.advanceTimersByTimeAsync(0);
      expect(ended).not.toHaveBeenCalled();
      put.resolve();
      await vi.advanceTimersByTimeAsync(0);
      expect(ended).toHaveBeenCalled();
    },
  );

  it('keeps an answer of a newer generation under that generation', async () => {
    const { cache, near } = tiered();
    await cache.find(lookup(async () => ({ ...loaded, body: '"8"', generation: 8 })));
    expect(await near.get(cachePath(key))).toBeUndefined();
    expect((await near.get(cachePath({ ...key, generation: 8 })))?.body).toBe('"8"');
  });
});

it('calls urgently only where nothing can stand in for the answer', async () => {
  const { cache } = tiered(undefined, { revalidateMs: 30_000 });
  const urgent: boolean[] = [];
  const load: Lookup['load'] = async (options) => {
    urgent.push(options.urgent);
    return loaded;
  };
  for (const laterMs of [0, 60_000, 90_000]) {
    vi.setSystemTime(Date.now() + laterMs);
    await cache.find(lookup(load));
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(urgent).toEqual([true, false, false]);
});

describe('stale while it is refreshed', () => {
  it('answers at once with what it has, and calls once for all that ask meanwhile', async () => {
    const { cache } = tiered(undefined, { revalidateMs: 30_000 });
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 60_000);
    const { promise, resolve } = Promise.withResolvers<Loaded>();
    const load = vi.fn(() => promise);
    const work: Promise<unknown>[] = [];
    for (let i = 0; i < 10; i++) {
      const found = await cache.find(lookup(load, { waitUntil: (promise) => work.push(promise) }));
      expect(found).toMatchObject({ status: 'stale', ageMs: 60_000, entry: { body: '"list"' } });
      expect(found.reason).toBeUndefined();
    }
    expect(load).toHaveBeenCalledTimes(1);
    resolve({ ...loaded, body: '"new"' });
    await Promise.all(work);
    expect(await cache.find(lookup(away))).toMatchObject({ status: 'memory', entry: { body: '"new"' } });
  });

  it('makes no second call where the first takes longer than requests wait for one another', async () => {
    const { cache } = tiered(undefined, { revalidateMs: 30_000 });
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 60_000);
    const slow = vi.fn(() => new Promise<Loaded>(() => undefined));
    for (let i = 0; i < 3; i++) await cache.find(lookup(slow));
    await vi.advanceTimersByTimeAsync(2 * FOLLOW_MS);
    expect(slow).toHaveBeenCalledTimes(1);
  });

  it('waits for no far tier, which the refresh asks before the backend', async () => {
    const near = new MemoryCache({ maxBytes: 1_000_000, now: Date.now });
    await tiered([near]).cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 60_000);
    const { promise, resolve } = Promise.withResolvers<CacheEntry | undefined>();
    const get = vi.fn(() => promise);
    const far: CachePort = { status: 'colo', get, put: async () => undefined };
    const { cache } = tiered([near, far], { revalidateMs: 30_000 });
    const work: Promise<unknown>[] = [];
    const waitUntil = (promise: Promise<unknown>) => void work.push(promise);
    const load = vi.fn(away);
    for (let i = 0; i < 5; i++) {
      const found = await cache.find(lookup(load, { waitUntil }));
      expect(found).toMatchObject({ status: 'stale', entry: { body: '"list"' } });
      expect(found.reason).toBeUndefined();
    }
    expect(get).toHaveBeenCalledTimes(1);
    const now = Date.now();
    resolve({ body: '"newer"', storedAtMs: now, softUntilMs: now + 60_000, hardUntilMs: now + 3_600_000 });
    await Promise.all(work);
    expect(load).not.toHaveBeenCalled();
    expect(await cache.find(lookup(load))).toMatchObject({ status: 'memory', entry: { body: '"newer"' } });
  });

  it('asks the backend where what is afar is stale, too', async () => {
    const [near, far] = [0, 1].map(() => new MemoryCache({ maxBytes: 1_000_000, now: Date.now }));
    const { cache } = tiered([near!, named('colo', far!)], { revalidateMs: 30_000 });
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 60_000);
    expect((await cache.find(lookup(async () => ({ ...loaded, body: '"new"' })))).status).toBe('stale');
    await vi.advanceTimersByTimeAsync(0);
    expect(await cache.find(lookup(away))).toMatchObject({ status: 'memory', entry: { body: '"new"' } });
  });

  it('tries again after a refresh that failed, and asks in front once the time for that is over', async () => {
    const { cache } = tiered(undefined, { revalidateMs: 30_000 });
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 89_999);
    const load = vi.fn(away);
    for (let i = 0; i < 2; i++) {
      expect((await cache.find(lookup(load))).reason).toBeUndefined();
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(load).toHaveBeenCalledTimes(2);
    vi.setSystemTime(Date.now() + 1);
    expect(await cache.find(lookup(load))).toMatchObject({ status: 'stale', reason: 'backend_unavailable' });
    expect((await cache.find(lookup(async () => loaded))).status).toBe('miss');
  });

  it('stands in for a backend that is away until the hard expiry, and no longer', async () => {
    const { cache } = tiered();
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() + 3_599_999);
    expect((await cache.find(lookup(away))).status).toBe('stale');
    vi.setSystemTime(Date.now() + 1);
    await expect(cache.find(lookup(away))).rejects.toThrow('away');
  });
});

describe('a list of a clock that is ahead', () => {
  it('is refreshed as a stale one is, and not fresh for as long as the clocks differ', async () => {
    const { cache } = tiered(undefined, { revalidateMs: 30_000 });
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() - 3_600_000);
    const work: Promise<unknown>[] = [];
    const load = async () => ({ ...loaded, body: '"new"' });
    const found = await cache.find(lookup(load, { waitUntil: (promise) => work.push(promise) }));
    expect(found).toMatchObject({ status: 'stale', ageMs: 0, entry: { body: '"list"' } });
    await Promise.all(work);
    expect(await cache.find(lookup(away))).toMatchObject({ status: 'memory', entry: { body: '"new"' } });
  });

  it('counts as it is when they differ by less than its life', async () => {
    const { cache } = tiered();
    await cache.find(lookup(async () => loaded));
    vi.setSystemTime(Date.now() - 59_999);
    expect((await cache.find(lookup(away))).status).toBe('memory');
    vi.setSystemTime(Date.now() - 1);
    expect((await cache.find(lookup(away))).status).toBe('stale');
  });
});

describe('a cache in front of the backend', () => {
  const cachedAtMs = 1_800_000_000_000;
  const ofCache = async () => ({ ...loaded, cachedAtMs });

  it.each([
    [0, 'colo', undefined],
    [59_999, 'colo', undefined],
    [60_000, 'stale', undefined],
    [90_000, 'stale', 'backend_unavailable'],
  ] as const)('gives a list of %i ms ago: %s, %s', async (ageMs, status, reason) => {
    const { cache } = tiered(undefined, { revalidateMs: 30_000, random: () => 0.999 });
    vi.setSystemTime(cachedAtMs + ageMs);
    const found = await cache.find(lookup(ofCache));
    expect(found).toMatchObject({ status, ageMs });
    expect(found.reason).toBe(reason);
  });

  it('does not begin the life of a list anew', async () => {
    const { cache } = tiered();
    vi.setSystemTime(cachedAtMs + 50_000);
    await cache.find(lookup(ofCache));
    vi.setSystemTime(cachedAtMs + 59_999);
    expect(await cache.find(lookup(away))).toMatchObject({ status: 'memory', ageMs: 59_999 });
    vi.setSystemTime(cachedAtMs + 60_000);
    expect(await cache.find(lookup(away))).toMatchObject({ status: 'stale', ageMs: 60_000 });
  });
});

it('has no age when the backend has just given it, though the clock goes on', async () => {
  let ms = Date.now();
  const { cache } = tiered(undefined, { now: () => ++ms });
  expect(await cache.find(lookup(async () => loaded))).toMatchObject({ status: 'miss', ageMs: 0 });
  expect((await cache.find(lookup(away))).ageMs).toBeGreaterThan(0);
});

describe('the life of a list', () => {
  it('is shorter by up to a tenth at random, and never longer', async () => {
    const lives = new Set<number>();
    for (const share of [0, 0.5, 0.999_999]) {
      const { cache } = tiered(undefined, { random: () => share });
      const { entry } = await cache.find(lookup(async () => loaded));
      lives.add(entry.softUntilMs - entry.storedAtMs);
      expect(entry.hardUntilMs - entry.storedAtMs).toBe(3_600_000);
    }
    expect([...lives]).toEqual([60_000, 57_000, 54_001]);
  });

  it('is a quarter when it is empty', async () => {
    const { cache } = tiered();
    const { entry } = await cache.find(lookup(async () => ({ ...loaded, empty: true })));
    expect([entry.softUntilMs - entry.storedAtMs, entry.hardUntilMs - entry.storedAtMs]).toEqual([15_000, 900_000]);
  });
});

describe('the key', () => {
  const text = fc.string({ unit: 'binary', maxLength: 6 });
  const anyKey = fc.record({
    listVersion: fc.integer({ min: 1, max: 3 }),
    normalizerVersion: fc.integer({ min: 1, max: 3 }),
    generation: fc.option(fc.integer({ min: 0, max: 12 })),
    plan: text.map((part) => part.toWellFormed()),
    market: fc.constantFrom('us', 'gb', 'us/en'),
    locale: fc.constantFrom('en', 'en-US', 'en/US', ''),
    queryHash: fc.constantFrom('a', 'b', '/', '%2F', 'none'),
  });

  it('is equal for equal keys and different for different ones, whatever is in them', () => {
    fc.assert(
      fc.property(anyKey, anyKey, (a, b) => {
        expect(cachePath(a) === cachePath(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
        expect(cachePath({ ...a })).toBe(cachePath(a));
      }),
      { numRuns: 1_000 },
    );
  });

  it('separates all that differs in one dimension', () => {
    const paths = [{}, ...NEIGHBOURS].map((neighbour) => cachePath({ ...key, ...neighbour }));
    expect(new Set(paths).size).toBe(paths.length);
  });

  const plan = fc.record({
    retrievers: fc.array(fc.constantFrom('lexical' as const, 'dense' as const), { minLength: 1, maxLength: 4 }),
    k: fc.integer({ min: 1, max: 200 }),
    minRelevance: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const canonical = (value: unknown) => JSON.stringify(Plan.parse(value));

  it('is shared by equal plans and never by different ones', async () => {
    vi.useRealTimers();
    await fc.assert(
      fc.asyncProperty(plan, plan, async (a, b) => {
        const [pathA, pathB] = [
          cachePath({ ...key, plan: await fingerprint(a as Plan) }),
          cachePath({ ...key, plan: await fingerprint(b as Plan) }),
        ];
        expect(pathA === pathB).toBe(canonical(a) === canonical(b));
        // The order and repetition of retrievers, and of fields, is no difference.
        const same = { minRelevance: a.minRelevance, k: a.k, retrievers: [...a.retrievers, ...a.retrievers].reverse() };
        expect(await fingerprint(same as Plan)).toBe(await fingerprint(a as Plan));
      }),
      { numRuns: 300 },
    );
  });
});

function named(status: 'colo', cache: CachePort): CachePort {
  return { status, get: (path) => cache.get(path), put: (path, entry: CacheEntry) => cache.put(path, entry) };
}
