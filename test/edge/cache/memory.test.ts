import { expect, it } from 'vitest';
import { MemoryCache } from '../../../edge/cache/memory.ts';
import { cachePortConformance } from '../../conformance/cache-port.ts';

const T0 = 1_800_000_000_000;

cachePortConformance('MemoryCache', async () => {
  const clock = { nowMs: T0 };
  return { cache: new MemoryCache({ maxBytes: 1_000_000, now: () => clock.nowMs }), clock };
});

const entry = (body: string) => ({ body, storedAtMs: T0, softUntilMs: T0 + 1_000, hardUntilMs: T0 + 2_000 });

it('stays within its bytes and forgets the least recently used first', async () => {
  const cache = new MemoryCache({ maxBytes: 100_000, now: () => T0 });
  for (let i = 0; i < 200; i++) {
    await cache.put(`key-${i}`, entry('x'.repeat(1_000)));
    await cache.get('key-0');
    expect(cache.size.bytes).toBeLessThanOrEqual(100_000);
  }
  expect(await cache.get('key-0')).toBeDefined();
  expect(await cache.get('key-199')).toBeDefined();
  expect(await cache.get('key-1')).toBeUndefined();
  expect(cache.size.entries).toBeLessThan(40);
});

it('counts what lies outside Latin-1 twice, as the runtime keeps it', async () => {
  const [latin, other] = [0, 0].map(() => new MemoryCache({ maxBytes: 1_000_000, now: () => T0 }));
  await latin!.put('key', entry('\u00ff'.repeat(1_000)));
  await other!.put('key', entry('\u0100'.repeat(1_000)));
  expect(other!.size.bytes - latin!.size.bytes).toBe(2_500);
});

it('does not let one huge list push out all others', async () => {
  const cache = new MemoryCache({ maxBytes: 100_000, now: () => T0 });
  await cache.put('small', entry('x'));
  await cache.put('huge', entry('x'.repeat(20_000)));
  expect(await cache.get('small')).toBeDefined();
  expect(await cache.get('huge')).toBeUndefined();
});
