import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { costOf, MemoryCache } from '../../../edge/cache/memory.ts';
import { Slates } from '../../../edge/slates.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';
import { parseKeyRing } from '../../../shared/signature.ts';
import { cachePortConformance } from '../../conformance/cache-port.ts';
import { CANDIDATES, TEST_KEYS } from '../stand-in.ts';

const T0 = 1_800_000_000_000;

cachePortConformance('MemoryCache', async () => {
  const clock = { nowMs: T0 };
  return { cache: new MemoryCache({ maxBytes: 1_000_000, now: () => clock.nowMs }), clock };
});

const entry = (body: string) => ({ body, storedAtMs: T0, softUntilMs: T0 + 1_000, hardUntilMs: T0 + 2_000 });

const small = entry('x'.repeat(1_000));
/** Asks as a request does: looked up, then fetched and kept. */
async function ask(cache: MemoryCache, path: string, kept = small): Promise<boolean> {
  if ((await cache.get(path)) !== undefined) return true;
  await cache.put(path, kept);
  return false;
}

it('stays within its bytes, whatever comes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 6_000 }))), async (puts) => {
      const cache = new MemoryCache({ maxBytes: 300_000, now: () => T0 });
      for (const [name, length] of puts) {
        await ask(cache, `key-${name}`, entry('x'.repeat(length)));
        await cache.put(`key-${name}`, entry('y'.repeat(length)));
        expect(cache.size.bytes).toBeLessThanOrEqual(300_000);
        const held = await cache.get(`key-${name}`);
        if (held !== undefined) expect(held.body).toBe('y'.repeat(length));
      }
    }),
    { numRuns: 50 },
  );
});

it.each([64.1 * 1e6, 33.3 * 1e6, 0.5])('takes %d bytes, which are no whole number', async (maxBytes) => {
  expect(Number.isInteger(maxBytes)).toBe(false);
  const cache = new MemoryCache({ maxBytes, now: () => T0 });
  await ask(cache, 'key');
  expect((await cache.get('key')) !== undefined).toBe(maxBytes > 1);
  expect(cache.size.bytes).toBeLessThanOrEqual(maxBytes);
});

it('fills its bytes and no more, says what it holds, and gives nobody the place of what is asked for as often', async () => {
  const cache = new MemoryCache({ maxBytes: 300_000, now: () => T0 });
  const paths = Array.from({ length: 500 }, (_, i) => `key-${String(i).padStart(3, '0')}`);
  const cost = costOf(paths[0]!, entry('x'.repeat(200)));
  expect(cost - costOf('', entry('x'.repeat(200)))).toBe(paths[0]!.length);
  for (const path of paths) await ask(cache, path, entry('x'.repeat(200)));
  const { entries, bytes } = cache.size;
  expect(bytes).toBe(entries * cost);
  expect(bytes).toBeLessThanOrEqual(300_000);
  expect(bytes).toBeGreaterThan(300_000 - 3 * cost);
  const held = await Promise.all(paths.map((path) => cache.get(path)));
  expect(held.filter((each) => each !== undefined)).toHaveLength(entries);
  for (const path of paths.slice(0, 100)) expect(await cache.get(path), path).toBeDefined();
});

it('keeps what is asked for often, however much comes once', async () => {
  const cache = new MemoryCache({ maxBytes: 300_000, now: () => T0 });
  const head = Array.from({ length: 20 }, (_, i) => `head-${i}`);
  for (let round = 0; round < 3; round++) for (const path of head) await ask(cache, path);
  for (let i = 0; i < 500; i++) await ask(cache, `once-${i}`);
  for (const path of head) expect(await cache.get(path), path).toBeDefined();
});

it('lets in what becomes popular', async () => {
  const cache = new MemoryCache({ maxBytes: 300_000, now: () => T0 });
  for (let i = 0; i < 200; i++) await ask(cache, `before-${i % 40}`);
  let hits = 0;
  for (let i = 0; i < 400; i++) if (await ask(cache, `after-${i % 20}`)) hits += 1;
  expect(hits).toBeGreaterThan(200);
});

it('gives the place of what nobody refreshed to anything fresh', async () => {
  let nowMs = T0;
  const cache = new MemoryCache({ maxBytes: 300_000, now: () => nowMs });
  for (let round = 0; round < 5; round++)
    for (let i = 0; i < 30; i++) await ask(cache, `old-generation-${i}`, { ...small, hardUntilMs: T0 + 60_000 });
  nowMs = T0 + 1_001;
  const fresh = { ...small, softUntilMs: nowMs + 1_000, hardUntilMs: nowMs + 2_000 };
  for (let i = 0; i < 30; i++) await ask(cache, `new-generation-${i}`, fresh);
  for (let i = 0; i < 30; i++) expect(await cache.get(`new-generation-${i}`), String(i)).toBeDefined();
});

it('counts what lies outside Latin-1 twice, as the runtime keeps it', async () => {
  const [latin, other] = [0, 0].map(() => new MemoryCache({ maxBytes: 1_000_000, now: () => T0 }));
  await latin!.put('key', entry('\u00ff'.repeat(1_000)));
  await other!.put('key', entry('\u0100'.repeat(1_000)));
  expect(other!.size.bytes - latin!.size.bytes).toBe(2_500);
});

it.each([4, 10, 40])(
  'reckons what a list of %i candidates takes once it was decoded and its slates are made',
  (length) => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    const slates = new Slates(parseKeyRing(TEST_KEYS));
    const terms = { killed: new Set<string>(), auction: DEFAULT_CONFIG.auction, market: 'us', slots: 4, atMs: T0 };
    const heap = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const kept: unknown[] = [slates];
    let reckoned = 0;
    const before = heap();
    for (let n = 0; n < 1_000; n++) {
      const candidates = Array.from({ length }, (_, i) => ({
        ...CANDIDATES[i % 5]!,
        adId: `ad-${n}-${i}`,
        advertiserId: `of-${i}`,
      }));
      // As it comes from the backend: one flat text.
      const list = entry(Buffer.from(JSON.stringify({ candidates })).toString('latin1'));
      const decoded = JSON.parse(list.body) as { candidates: typeof CANDIDATES };
      for (const device of ['mobile', 'desktop'] as const) slates.of(decoded.candidates, { ...terms, device });
      kept.push(list, decoded);
      reckoned += costOf('', list);
    }
    const share = (heap() - before) / reckoned;
    expect(kept).toHaveLength(2_001);
    expect(share).toBeGreaterThan(0.8);
    expect(share).toBeLessThan(1.2);
  },
);

it('does not let one huge list push out all others', async () => {
  const cache = new MemoryCache({ maxBytes: 300_000, now: () => T0 });
  await cache.put('small', entry('x'));
  await cache.put('huge', entry('x'.repeat(20_000)));
  expect(await cache.get('small')).toBeDefined();
  expect(await cache.get('huge')).toBeUndefined();
});

it('does not answer with an older list where the newer one found no place', async () => {
  const cache = new MemoryCache({ maxBytes: 300_000, now: () => T0 });
  for (let round = 0; round < 3; round++) for (let i = 0; i < 40; i++) await ask(cache, `head-${i}`);
  await cache.put('grown', entry('x'));
  expect(await cache.get('grown')).toBeDefined();
  await cache.put('grown', entry('x'.repeat(2_000)));
  expect(await cache.get('grown')).toBeUndefined();
});
