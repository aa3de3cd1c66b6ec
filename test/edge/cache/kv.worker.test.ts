import { expect, it } from 'vitest';
import { cachePath } from '../../../edge/cache/cache-port.ts';
import { KvCache } from '../../../edge/cache/kv.ts';
import { Popularity } from '../../../shared/popularity.ts';
import { cachePortConformance, key } from '../../conformance/cache-port.ts';
import { namespaceOf } from '../under-test.worker.ts';

let count = 0;
const path = cachePath(key);
type Put = Parameters<ReturnType<typeof namespaceOf>['put']>;

function kv(options: { isHead?: (path: string) => boolean; namespace?: ReturnType<typeof namespaceOf> } = {}) {
  const clock = { nowMs: Date.now() };
  const puts: Put[] = [];
  const namespace = options.namespace ?? namespaceOf(`kv-conformance-${++count}`);
  const cache = new KvCache({
    namespace: {
      ...namespace,
      put(...put) {
        puts.push(put);
        return namespace.put(...put);
      },
    },
    isHead: options.isHead ?? (() => true),
    now: () => clock.nowMs,
    steady: () => clock.nowMs,
    readMs: 10_000,
  });
  return { cache, clock, puts, namespace };
}

const entryAt = (nowMs: number, body = 'list') => ({
  body,
  storedAtMs: nowMs,
  softUntilMs: nowMs + 60_000,
  hardUntilMs: nowMs + 90_500,
});

cachePortConformance('KvCache', async () => kv());

it('writes what this isolate is asked for often, and nothing else', async () => {
  const popularity = new Popularity({ width: 1 << 10, halveEvery: 1_000 });
  const { cache, clock, puts } = kv({ isHead: (asked) => popularity.estimate(asked) >= 3 });
  for (let i = 1; i <= 4; i++) {
    popularity.record(path);
    await cache.put(path, entryAt(clock.nowMs));
    expect(puts).toHaveLength(i < 3 ? 0 : 1);
  }
  await cache.put(cachePath({ ...key, market: 'gb' }), entryAt(clock.nowMs));
  expect(puts.map(([, , { expirationTtl }]) => expirationTtl)).toEqual([91]);
});

it('keeps a list that lives for less than KV takes, and gives it no longer than that', async () => {
  const { cache, clock } = kv();
  const entry = { ...entryAt(clock.nowMs), softUntilMs: clock.nowMs + 5_000, hardUntilMs: clock.nowMs + 20_000 };
  await cache.put(path, entry);
  clock.nowMs += 19_999;
  expect(await cache.get(path)).toEqual(entry);
  clock.nowMs += 1;
  expect(await cache.get(path)).toBeUndefined();
});

it('writes a key once a second at most', async () => {
  const { cache, clock, puts } = kv();
  const began = clock.nowMs;
  while (clock.nowMs - began < 5_000) {
    await cache.put(path, entryAt(clock.nowMs, String(clock.nowMs)));
    clock.nowMs += 100;
  }
  expect(puts.map(([, body]) => Number(body) - began)).toEqual([0, 1_000, 2_000, 3_000, 4_000]);
});

it('does not wait for a slow read', async () => {
  const namespace = { ...namespaceOf('slow'), getWithMetadata: () => new Promise<never>(() => undefined) };
  const cache = new KvCache({ namespace, isHead: () => true, now: Date.now, steady: Date.now, readMs: 1 });
  expect(await cache.get(path)).toBeUndefined();
});

it('takes a value without our expiries for none', async () => {
  const { cache, namespace } = kv();
  await namespace.put(`candidates/${path}`, 'list', { expirationTtl: 60, metadata: {} as never });
  expect(await cache.get(path)).toBeUndefined();
});
