/** What every cache adapter must do, whichever it is. Run by test/edge/cache in Node and in workerd. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CacheEntry, type CacheKey, type CachePort, cachePath } from '../../edge/cache/cache-port.ts';

export interface CacheUnderTest {
  cache: CachePort;
  /** The clock that the adapter was given; tests set it forward. */
  clock: { nowMs: number };
}

export const key: CacheKey = {
  listVersion: 1,
  normalizerVersion: 1,
  generation: 7,
  plan: 'a'.repeat(32),
  market: 'us',
  locale: 'en-US',
  queryHash: 'b'.repeat(64),
};

/** Keys that differ in one dimension only, and in ways that careless joining would blur. */
export const NEIGHBOURS: Partial<CacheKey>[] = [
  { listVersion: 2 },
  { normalizerVersion: 2 },
  { listVersion: 11, normalizerVersion: 1 },
  { generation: 8 },
  { generation: 77 },
  { generation: null },
  { plan: `${'a'.repeat(31)}b` },
  { market: 'gb' },
  { locale: 'en' },
  { locale: 'en-US/x' },
  { market: 'us/en-US', locale: '' },
  { queryHash: `${'b'.repeat(63)}c` },
];

const path = (...parts: Partial<CacheKey>[]) => cachePath(Object.assign({}, key, ...parts));

export function cachePortConformance(name: string, make: () => Promise<CacheUnderTest>): void {
  const entryAt = (nowMs: number, body = '{"candidates":[]}'): CacheEntry => ({
    body,
    storedAtMs: nowMs,
    softUntilMs: nowMs + 60_000,
    hardUntilMs: nowMs + 3_600_000,
  });

  describe(`${name} keeps to the contract of CachePort`, () => {
    it('knows nothing at first', async () => {
      const { cache } = await make();
      expect(await cache.get(path())).toBeUndefined();
    });

    it('gives back what it was given, every time', async () => {
      const { cache, clock } = await make();
      const entry = entryAt(clock.nowMs, JSON.stringify({ title: 'Zelt 👨‍👩‍👧 – ½″ "café"\u2028', ids: [1, 2] }));
      await cache.put(path(), entry);
      expect(await cache.get(path())).toEqual(entry);
      expect(await cache.get(path())).toEqual(entry);
    });

    it('gives back any text, byte for byte', async () => {
      const { cache, clock } = await make();
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1 }), fc.nat(), async (text, generation) => {
          clock.nowMs += 1_000; // a tier may take one write a second a key
          const entry = entryAt(clock.nowMs, text.toWellFormed());
          await cache.put(path({ generation }), entry);
          expect((await cache.get(path({ generation })))?.body).toBe(entry.body);
        }),
        { numRuns: 25 },
      );
    });

    it('keeps the last of two', async () => {
      const { cache, clock } = await make();
      await cache.put(path(), entryAt(clock.nowMs, 'first'));
      clock.nowMs += 1_000; // a tier may take one write a second a key
      await cache.put(path(), entryAt(clock.nowMs, 'second'));
      expect(await cache.get(path())).toMatchObject({ body: 'second', storedAtMs: clock.nowMs });
    });

    it('never answers a key with another', async () => {
      const { cache, clock } = await make();
      await cache.put(path(), entryAt(clock.nowMs, 'mine'));
      for (const neighbour of NEIGHBOURS) expect(await cache.get(path(neighbour))).toBeUndefined();
      for (const [i, neighbour] of NEIGHBOURS.entries()) await cache.put(path(neighbour), entryAt(clock.nowMs, `${i}`));
      for (const [i, neighbour] of NEIGHBOURS.entries()) {
        expect((await cache.get(path(neighbour)))?.body).toBe(`${i}`);
      }
      expect((await cache.get(path()))?.body).toBe('mine');
    });

    it('still gives a soft-expired entry, and says when that was', async () => {
      const { cache, clock } = await make();
      const entry = entryAt(clock.nowMs);
      await cache.put(path(), entry);
      clock.nowMs += 61_000;
      expect(await cache.get(path())).toEqual(entry);
    });

    it('drops an entry at its hard expiry, and takes none that is past it', async () => {
      const { cache, clock } = await make();
      await cache.put(path(), entryAt(clock.nowMs));
      clock.nowMs += 3_599_999;
      expect(await cache.get(path())).toBeDefined();
      clock.nowMs += 1;
      expect(await cache.get(path())).toBeUndefined();
      await cache.put(path(), entryAt(clock.nowMs - 3_600_000));
      expect(await cache.get(path())).toBeUndefined();
    });

    it('serves many at once', async () => {
      const { cache, clock } = await make();
      const keys = Array.from({ length: 40 }, (_, generation) => path({ generation }));
      await Promise.all(keys.map((at) => cache.put(at, entryAt(clock.nowMs, at))));
      const bodies = await Promise.all(keys.map(async (at) => (await cache.get(at))?.body));
      expect(bodies).toEqual(keys);
    });
  });
}
