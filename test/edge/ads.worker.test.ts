import { describe, expect, it } from 'vitest';
import { ImpressionEvent } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { fingerprint } from '../../shared/plan.ts';
import { CANDIDATES } from './stand-in.ts';
import { cookieOf, edgeUnderTest } from './under-test.worker.ts';

const BROWSER = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0' };

describe('GET /v1/ads', () => {
  it('answers with the auction over the candidates, and logs one impression that says the same', async () => {
    const edge = edgeUnderTest();
    const answer = await edge.ads('q=%20Running%E2%80%8B%20SHOES&market=gb&locale=en-GB', { headers: BROWSER });
    // bid x relevance^2 falls from ad-5 (0.5 x 0.81) to ad-1 (0.9 x 0.25).
    expect(answer.slots.map(({ adId }) => adId)).toEqual(['ad-5', 'ad-4', 'ad-3', 'ad-2']);
    expect(answer).toMatchObject({
      query: { raw: ' Running\u200b SHOES', normalized: 'running shoes' },
      cache: { status: 'miss', ageMs: 0 },
      generation: 7,
      model: 'test-model',
      assignments: [{ experiment: 'student-retrieval', layer: 'retrieval' }],
      timings: { encodeMs: 2, searchMs: 1 },
    });
    expect(answer.degraded).toBeUndefined();

    const [event, ...rest] = edge.queued;
    expect(rest).toEqual([]);
    const impression = ImpressionEvent.parse(event);
    expect(impression).toMatchObject({
      id: answer.requestId,
      bot: false,
      market: 'gb',
      locale: 'en-GB',
      query: 'running shoes',
      assignments: answer.assignments,
      configVersion: 3,
      generation: 7,
      cache: answer.cache,
      rung: 'fresh',
      timings: answer.timings,
    });
    expect(impression.slots.map(({ adId }) => adId)).toEqual(answer.slots.map(({ adId }) => adId));
    expect(impression.slots[0]).toMatchObject({ position: 1, relevance: 0.9, retrievers: ['lexical'] });

    const { retrieved, unsigned } = await edge.told();
    expect(unsigned).toBe(0);
    expect(retrieved).toHaveLength(1);
    expect(retrieved[0]).toMatchObject({ query: 'running shoes', market: 'gb', locale: 'en-GB' });
    expect(retrieved[0]!.deadlineMs).toBeLessThanOrEqual(20_000);
    expect(retrieved[0]!.deadlineMs).toBeGreaterThan(0);
    expect(impression.planFingerprint).toBe(await fingerprint(retrieved[0]!.plan as never));
  });

  it('forbids keeping the answer, and sends the security headers', async () => {
    const { headers } = await edgeUnderTest().fetch('/v1/ads?q=shoes');
    expect(headers.get('cache-control')).toBe('private, no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('strict-transport-security')).toContain('max-age=');
  });

  it('fills at most n slots, and never more than the configuration allows', async () => {
    const edge = edgeUnderTest();
    expect((await edge.ads('q=shoes&n=2')).slots).toHaveLength(2);
    expect((await edge.ads('q=shoes&n=10')).slots).toHaveLength(DEFAULT_CONFIG.auction.slots);
  });

  it('takes the first market and locale of the configuration, whatever the browser prefers', async () => {
    const edge = edgeUnderTest();
    await edge.ads('q=shoes', { headers: { 'accept-language': 'de-DE', 'cf-ipcountry': 'GB' } });
    expect((await edge.told()).retrieved[0]).toMatchObject({ market: 'us', locale: 'en' });
  });

  it('asks the backend once, then answers from memory, then, in another isolate, from the data centre', async () => {
    const edge = edgeUnderTest();
    const headers = { cookie: cookieOf(await edge.fetch('/v1/ads?q=shoes')) };
    edge.later(4);
    const memory = await edge.ads('q=SHOES', { headers });
    expect(memory.cache.status).toBe('memory');
    expect(memory.cache.ageMs).toBeGreaterThanOrEqual(4_000);
    expect(memory.timings).toMatchObject({ backendMs: 0, encodeMs: 0, searchMs: 0 });
    edge.restart();
    // A new isolate knows the generation, and so the key, from the configuration that it waits for.
    const colo = await edge.ads('q=shoes', { headers });
    expect(colo.cache.status).toBe('colo');
    expect((await edge.ads('q=shoes', { headers })).cache.status).toBe('memory');
    expect((await edge.told()).retrieved).toHaveLength(1);
    expect(memory.slots.map(({ adId }) => adId)).toEqual(colo.slots.map(({ adId }) => adId));
  });

  it('keeps markets, locales, queries and arms apart in the cache', async () => {
    const edge = edgeUnderTest();
    const { cookie, other } = await visitorsOfBothArms(edge);
    const before = (await edge.told()).retrieved.length;
    for (const query of ['q=a', 'q=b', 'q=a&market=gb', 'q=a&locale=en-GB']) {
      for (const headers of [{ cookie }, { cookie: other }]) {
        expect((await edge.ads(query, { headers })).cache.status).toBe('miss');
        expect((await edge.ads(query, { headers })).cache.status).toBe('memory');
      }
    }
    expect((await edge.told()).retrieved).toHaveLength(before + 8);
  });

  it('asks anew for a new generation that an answer of the backend spoke of', async () => {
    const edge = edgeUnderTest();
    const headers = { cookie: cookieOf(await edge.fetch('/v1/ads?q=shoes')) };
    await edge.backend({ news: { configVersion: 3, generation: 8 } });
    await edge.ads('q=boots', { headers });
    const answer = await edge.ads('q=shoes', { headers });
    expect(answer).toMatchObject({ cache: { status: 'miss' }, generation: 8 });
    // And never back: a lagging backend does not bring the old key to life.
    await edge.backend({ news: { configVersion: 3, generation: 7 } });
    await edge.ads('q=sandals', { headers });
    expect((await edge.ads('q=shoes', { headers })).cache.status).toBe('memory');
  });

  it('drops a paused ad from a cached list as soon as the configuration names it', async () => {
    const edge = edgeUnderTest();
    const headers = { cookie: cookieOf(await edge.fetch('/v1/ads?q=shoes')) };
    const config = { ...DEFAULT_CONFIG, version: 4, generation: 7, killList: ['ad-5'] };
    await edge.backend({ config, news: { configVersion: 4, generation: 7 } });
    // Any other answer carries the news; the next request already serves by it.
    await edge.ads('q=boots', { headers });
    await edge.ads('q=anything', { headers });
    const answer = await edge.ads('q=shoes', { headers });
    expect(answer.cache.status).toBe('memory');
    expect(answer.slots.map(({ adId }) => adId)).toEqual(['ad-4', 'ad-3', 'ad-2', 'ad-1']);
  });

  it('judges a cached list by the device and the hour of each request', async () => {
    const edge = edgeUnderTest();
    const endsAt = new Date(Date.now() + 60_000).toISOString();
    const terms = [{ devices: ['mobile' as const] }, { schedule: { timeZone: 'UTC', endsAt } }];
    await edge.backend({ candidates: CANDIDATES.slice(0, 2).map((ad, i) => ({ ...ad, ...terms[i] })) });
    const headers = { cookie: cookieOf(await edge.fetch('/v1/ads?q=shoes')) };
    const phone = 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36';
    const shown = async (agent: string) => {
      const { cache, slots } = await edge.ads('q=shoes', { headers: { ...headers, 'user-agent': agent } });
      return [cache.status, ...slots.map(({ adId }) => adId).sort()];
    };
    expect(await shown(phone)).toEqual(['memory', 'ad-1', 'ad-2']);
    expect(await shown(BROWSER['user-agent'])).toEqual(['memory', 'ad-2']);
    edge.later(600);
    expect((await shown(phone)).slice(1)).toEqual(['ad-1']);
    expect((await shown(BROWSER['user-agent'])).slice(1)).toEqual([]);
  });

  it('waits for news after a silence, so that an isolate that slept serves no ad that was paused meanwhile', async () => {
    const edge = edgeUnderTest();
    const headers = { cookie: cookieOf(await edge.fetch('/v1/ads?q=shoes')) };
    await edge.backend({ config: { ...DEFAULT_CONFIG, version: 4, generation: 7, killList: ['ad-5'] } });
    edge.later(5);
    const answer = await edge.ads('q=shoes', { headers });
    expect(answer.cache.status).toBe('memory');
    expect(answer.slots[0]!.adId).toBe('ad-4');
  });

  it('answers without slots when nothing qualifies, which is no degradation', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ candidates: [{ ...CANDIDATES[0]!, bidMicros: 1 }] });
    const answer = await edge.ads('q=shoes');
    expect(answer.slots).toEqual([]);
    expect(answer.degraded).toBeUndefined();
  });
});

describe('the visitor', () => {
  it('gets a cookie once, and keeps arm and unit with it', async () => {
    const edge = edgeUnderTest();
    const first = await edge.fetch('/v1/ads?q=shoes');
    const setCookie = first.headers.get('set-cookie')!;
    expect(setCookie).toMatch(/^__Host-harness-unit=[^;]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=\d+$/);
    const cookie = cookieOf(first);
    for (let i = 0; i < 5; i++) {
      const again = await edge.fetch('/v1/ads?q=shoes', { headers: { cookie: `theme=dark; ${cookie}; x=1` } });
      expect(again.headers.get('set-cookie')).toBeNull();
    }
    const units = new Set(edge.queued.map((event) => (event as ImpressionEvent).unitId));
    expect(units.size).toBe(1);
    const [unitId] = units;
    expect(unitId).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(cookie).not.toContain(unitId);
  });

  it('is a new one when the cookie does not verify', async () => {
    const edge = edgeUnderTest();
    const cookie = cookieOf(await edge.fetch('/v1/ads?q=shoes'));
    const forged = cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    for (const header of [forged, '__Host-harness-unit=', '__Host-harness-unit=a.b.c', `${cookie}.x`, '=;=;']) {
      const response = await edge.fetch('/v1/ads?q=shoes', { headers: { cookie: header } });
      expect(response.status).toBe(200);
      expect(cookieOf(response)).not.toBe(cookie);
    }
    expect(new Set(edge.queued.map((event) => (event as ImpressionEvent).unitId)).size).toBe(6);
  });

  it('who names itself a robot is answered and marked', async () => {
    const edge = edgeUnderTest();
    await edge.ads('q=shoes', { headers: { 'user-agent': 'Mozilla/5.0 (compatible; Googlebot/2.1)' } });
    await edge.ads('q=shoes', { headers: BROWSER });
    expect(edge.queued.map((event) => (event as ImpressionEvent).bot)).toEqual([true, false]);
  });
});

/** Cookies of two visitors in different arms. */
async function visitorsOfBothArms(edge: ReturnType<typeof edgeUnderTest>) {
  const byArm = new Map<string, string>();
  while (byArm.size < 2) {
    const response = await edge.fetch('/v1/ads?q=who-am-i');
    const { assignments } = (await response.json()) as { assignments: { arm: string }[] };
    byArm.set(assignments[0]!.arm, cookieOf(response));
  }
  return { cookie: byArm.get('control')!, other: byArm.get('treatment')! };
}
