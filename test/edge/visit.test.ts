import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import type { AdsRequest } from '../../edge/ads-request.ts';
import { visitOf } from '../../edge/visit.ts';

const request = { market: 'us', locale: 'en', normalized: 'red sofa' } as AdsRequest;
const visit = (
  headers: Record<string, string>,
  diversions: ('query' | 'query-day')[] = [],
  atMs = Date.UTC(2026, 0, 1, 23, 59),
) => visitOf({ ...{ request, headers: new Headers(headers), unitId: 'u', diversions: new Set(diversions) }, atMs });
const deviceOf = async (userAgent: string) => (await visit({ 'user-agent': userAgent })).device;

test.each([
  ['Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36', 'mobile'],
  ['Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 Chrome/140.0 Safari/537.36', 'tablet'],
  ['Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0', 'mobile'],
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148', 'mobile'],
  ['Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148', 'tablet'],
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Silk/140.0 like Chrome/140.0 Safari/537.36', 'tablet'],
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36', 'desktop'],
  ['', 'desktop'],
])('%s is a %s', async (userAgent, device) => expect(await deviceOf(userAgent)).toBe(device));

it('takes a tablet for what a system without Mobile behind it is, as the pattern says that it does without', async () => {
  const word = fc.constantFrom('Android', 'Silk/1', 'Mobile', 'Mobi', 'android', ';', 'X11');
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 8 }), async (words) => {
      const userAgent = words.join(' ');
      const tablet = /Silk\/(?!.*Mobile)|Android(?!.*Mobile)/i.test(userAgent);
      expect((await deviceOf(userAgent)) === 'tablet').toBe(tablet);
    }),
  );
});

it('believes the hint of a phone, and makes the units that are asked for alone, without spelling the query', async () => {
  expect((await visit({ 'sec-ch-ua-mobile': '?1' })).device).toBe('mobile');
  expect((await visit({})).units).toEqual({ user: 'u' });
  const { units } = await visit({}, ['query', 'query-day']);
  expect(Object.keys(units)).toEqual(['user', 'query', 'query-day']);
  for (const unit of [units.query, units['query-day']]) expect(unit).toMatch(/^[0-9a-f]{32}$/);
  expect(units.query).not.toBe(units['query-day']);
});

it('is another unit of query and day from midnight UTC on, on every day of the year, and the same unit of the query', async () => {
  const midnight = Date.UTC(2026, 0, 2);
  const day = 86_400_000;
  const unitsAt = async (atMs: number) => (await visit({}, ['query', 'query-day'], atMs)).units;
  const [first, noon, last, next] = await Promise.all([0, day / 2, day - 1, day].map((ms) => unitsAt(midnight + ms)));
  expect([noon!['query-day'], last!['query-day']]).toEqual([first!['query-day'], first!['query-day']]);
  expect(next!.query).toBe(first!.query);
  const days = await Promise.all(Array.from({ length: 365 }, (_, i) => unitsAt(midnight + i * day)));
  expect(new Set(days.map((units) => units['query-day'])).size).toBe(365);
});
