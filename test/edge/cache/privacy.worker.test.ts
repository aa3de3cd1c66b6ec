/** Nothing personal is in the cache: the stored bytes of every tier, and what the backend is asked, after telling visits. */
import { expect, it } from 'vitest';
import type { ImpressionEvent } from '../../../shared/contract/events.ts';
import { edgeUnderTest, namespaceOf } from '../under-test.worker.ts';

const PREFIX = 'candidates/';
const HOST = 'https://candidates.harness.internal/';

/** What a browser tells of its person; every value is found again wherever it went. */
const personOf = (i: number) => ({
  'cf-connecting-ip': `203.0.113.${100 + i}`,
  'x-forwarded-for': `198.51.100.${100 + i}, 192.0.2.${100 + i}`,
  'true-client-ip': `2001:db8:77::${100 + i}`,
  'user-agent': `Mozilla/5.0 (PersonalBrowser/77.${i})`,
  'accept-language': `rm-CH-x-personal${i}`,
  referer: `https://mail.example/inbox?user=personal-${i}`,
  authorization: `Bearer personal-token-${i}`,
  'x-custom': `personal-header-${i}`,
});

it('no tier keeps a cookie, an address, a header or an id of those whose requests filled it', async () => {
  const written: string[] = [];
  const kv = namespaceOf('privacy');
  const edge = edgeUnderTest({
    KV: {
      ...kv,
      put: (key, value, options) => {
        if (key.startsWith(PREFIX)) written.push(key.slice(PREFIX.length));
        return kv.put(key, value, options);
      },
    },
  });
  // Each visitor asks often enough for the list to be one of the head, which KV keeps too.
  const personal = new Set<string>();
  for (let i = 0; i < 8; i++) {
    const headers: Record<string, string> = { ...personOf(i), cookie: `session=personal-session-${i}` };
    const first = await edge.fetch('/v1/ads?q=Running%20%20SHOES', { headers });
    const cookies = first.headers.getSetCookie().map((cookie) => cookie.split(';')[0]!);
    for (const cookie of cookies) personal.add(cookie.slice(cookie.indexOf('=') + 1));
    headers.cookie = [headers.cookie, ...cookies].join('; ');
    const { requestId, slots } = await edge.ads('q=Running%20%20SHOES', { headers });
    personal.add(requestId);
    for (const { clickUrl } of slots) personal.add(new URL(clickUrl).pathname.split('/').at(-1)!);
    for (const value of Object.values(personOf(i)).flatMap((text) => text.split(', '))) personal.add(value);
    edge.later(20);
  }
  for (const event of edge.queued as ImpressionEvent[]) personal.add(event.unitId).add(event.id);
  for (const text of ['personal', 'Running  SHOES', 'test.']) personal.add(text);

  const paths = [...new Set(written)];
  expect(paths.length).toBeGreaterThan(0);
  const stored: Record<string, string[]> = { memory: [], colo: [], kv: [] };
  for (const path of paths) {
    const said = decodeURIComponent(path);
    const entry = await edge.isolate.memory.get(path);
    if (entry !== undefined) stored.memory!.push(said, JSON.stringify(entry));
    const response = await (await edge.dataCentre()).match(HOST + path);
    if (response !== undefined) stored.colo!.push(said, JSON.stringify([...response.headers]), await response.text());
    const { value, metadata } = await kv.getWithMetadata(PREFIX + path, 'text');
    if (value !== null) stored.kv!.push(said, value, JSON.stringify(metadata));
  }
  const { retrieved, unsigned } = await edge.told();
  const tiers = { ...stored, backend: retrieved.map((request) => JSON.stringify(request)) };
  expect(unsigned).toBe(0);
  for (const [tier, texts] of Object.entries(tiers)) {
    expect(texts.length, tier).toBeGreaterThan(0);
    // The list is really there, so looking for a person in it means something.
    expect(texts.join('\n'), tier).toContain(tier === 'backend' ? 'running shoes' : 'ad-5');
    for (const value of personal) expect(texts.join('\n'), `${tier}: ${value}`).not.toContain(value);
    // The words of the query go to the backend, which must read them, and stay out of what is kept.
    if (tier !== 'backend') expect(texts.join('\n'), tier).not.toContain('running shoes');
  }
});
