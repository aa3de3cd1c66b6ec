/** What a visitor's browser, address and words may do, and where they may not go. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientKey } from '../../edge/rate-limit.ts';
import { EDGE_ROUTES } from '../../shared/contract/edge-routes.ts';
import type { ImpressionEvent } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { sha256Hex } from '../../shared/digest.ts';
import { headers, POISONED } from './fuzz.ts';
import { edgeUnderTest } from './under-test.worker.ts';

type Edge = ReturnType<typeof edgeUnderTest>;
const unitOf = (edge: Edge, i: number) => (edge.queued[i] as ImpressionEvent).unitId;

describe('consent', () => {
  // Browsers take no other attributes of a name that begins like this.
  const forgotten = (what: string) => `__Host-harness-${what}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0`;

  it('is waited for where it is required: nothing is set, and every request is a unit of its own', async () => {
    const edge = edgeUnderTest({ CONSENT: 'required' });
    const silent = await edge.fetch('/v1/ads?q=shoes');
    expect(silent.headers.getSetCookie()).toEqual([]);
    await edge.fetch('/v1/ads?q=shoes');
    expect(unitOf(edge, 0)).not.toBe(unitOf(edge, 1));

    const consenting = await edge.fetch('/v1/ads?q=shoes', { headers: { cookie: 'harness-consent=granted' } });
    const cookie = consenting.headers.getSetCookie().map((each) => each.split(';')[0]!);
    expect(cookie.length).toBeGreaterThan(0);
    await edge.fetch('/v1/ads?q=shoes', { headers: { cookie: ['harness-consent=granted', ...cookie].join('; ') } });
    expect(unitOf(edge, 3)).toBe(unitOf(edge, 2));

    // Taken back: what the browser still sends is not read, and is to be forgotten.
    const withdrawn = await edge.fetch('/v1/ads?q=shoes', { headers: { cookie: cookie.join('; ') } });
    expect(withdrawn.headers.getSetCookie()).toEqual([forgotten('unit')]);
    expect(unitOf(edge, 4)).not.toBe(unitOf(edge, 2));
    // Each impression says which it was, so that an analysis can tell units that last from those that do not.
    expect(edge.queued.map((event) => (event as ImpressionEvent).consent)).toEqual([false, false, true, true, false]);
  });

  it('is refused by a browser that asks not to be tracked, whatever the policy', async () => {
    const edge = edgeUnderTest();
    const response = await edge.fetch('/v1/ads?q=shoes', { headers: { 'sec-gpc': '1' } });
    expect(response.status).toBe(200);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  it('once withdrawn takes back what the browser brings of ours, and nothing else', async () => {
    const edge = edgeUnderTest();
    const answered = async (cookie: string, headers: Record<string, string> = {}) =>
      (await edge.fetch('/v1/ads?q=shoes', { headers: { cookie, ...headers } })).headers.getSetCookie();
    const unit = (await answered(''))[0]!.split(';')[0]!;
    const arms = '__Host-harness-arms=of-another-version';
    const denied = 'harness-consent=denied';
    expect(await answered(`${denied}; ${arms}; basket=7; ${unit}`)).toEqual([forgotten('unit'), forgotten('arms')]);
    expect(await answered(`${denied}; ${arms}`)).toEqual([forgotten('arms')]);
    expect(await answered(unit, { 'sec-gpc': '1' })).toEqual([forgotten('unit')]);
    expect(await answered(`${denied}; basket=7`)).toEqual([]);
    expect(await answered(`${unit}; ${arms}`)).toEqual([]);
  });
});

describe('an event', () => {
  const secrets = {
    'cf-connecting-ip': '203.0.113.77',
    'x-forwarded-for': '203.0.113.77, 198.51.100.8',
    'user-agent': 'Mozilla/5.0 (UniqueBrowser/77.1)',
    referer: 'https://mail.example/inbox?user=jane',
    'accept-language': 'rm-CH',
  };

  it('holds no address, no raw id, no header and no order number', async () => {
    const edge = edgeUnderTest();
    const first = await edge.fetch('/v1/ads?q=shoes', { headers: secrets });
    const cookie = first.headers.getSetCookie()[0]!.split(';')[0]!;
    const answer = await edge.ads('q=shoes', { headers: { ...secrets, cookie } });
    const click = await edge.fetch(new URL(answer.slots[0]!.clickUrl).pathname, { headers: { ...secrets, cookie } });
    const clickId = new URL(click.headers.get('location')!).searchParams.get('hclid');
    await edge.fetch('/v1/conversions', {
      method: 'POST',
      headers: { ...secrets, 'content-type': 'application/json' },
      body: JSON.stringify({ clickId, orderId: 'jane-4711', valueMicros: 1 }),
    });
    expect(edge.queued.map(({ type }) => type)).toEqual(['impression', 'impression', 'click', 'conversion']);
    const text = JSON.stringify(edge.queued);
    const rawId = atob(cookie.split('=')[1]!.split('.')[1]!);
    for (const secret of ['203.0.113', '198.51.100', 'UniqueBrowser', 'mail.example', 'rm-CH', 'jane', rawId])
      expect(text).not.toContain(secret);
    expect(text).not.toContain(cookie.split('=')[1]);
  });

  it('keeps no words of a query where the policy says so, and equal queries stay equal', async () => {
    const edge = edgeUnderTest({ QUERY_LOG: 'digest' });
    const answers = [await edge.ads('q=Jane+Doe'), await edge.ads('q=jane%20doe'), await edge.ads('q=shoes')];
    expect(answers[0]!.query.normalized).toBe('jane doe');
    const queries = edge.queued.map((event) => (event as ImpressionEvent).query);
    expect(queries[0]).toMatch(/^digest:[\w-]{22}$/);
    expect(queries[1]).toBe(queries[0]);
    expect(queries[2]).not.toBe(queries[0]);
    expect(JSON.stringify(edge.queued)).not.toMatch(/jane|doe|shoes/i);
  });

  it('nor a unit that is a query by a digest that anybody can compute, where the policy says so', async () => {
    const [base] = DEFAULT_CONFIG.experiments;
    const config = { ...DEFAULT_CONFIG, version: 3, generation: 7, experiments: [{ ...base!, diversion: 'query' }] };
    const units = async (policy: 'text' | 'digest') => {
      const edge = edgeUnderTest({ QUERY_LOG: policy });
      await edge.backend({ config });
      await edge.isolate.config.refresh();
      for (const query of ['jane+doe', 'Jane++Doe', 'shoes']) await edge.ads(`q=${query}`);
      return edge.queued.map((event) => (event as ImpressionEvent).assignments[0]!.unitId!);
    };
    const computed = (await sha256Hex('us\njane doe')).slice(0, 32);
    expect((await units('text')).map((unit) => unit === computed)).toEqual([true, true, false]);
    const [jane, again, shoes] = await units('digest');
    expect(jane).not.toBe(computed);
    expect(again).toBe(jane);
    expect(shoes).not.toBe(jane);
  });
});

describe('rate limits', () => {
  it('answer 429 with a time to wait, to the address that asks too often and to no other', async () => {
    const left = new Map<string, number>();
    const limit = async ({ key }: { key: string }) => {
      left.set(key, (left.get(key) ?? 3) - 1);
      return { success: left.get(key)! >= 0 };
    };
    const edge = edgeUnderTest({ RATE_LIMIT: { limit } });
    const from = (address: string) => ({ headers: { 'cf-connecting-ip': address } });
    for (let i = 0; i < 3; i++) expect((await edge.fetch('/v1/ads?q=a', from('192.0.2.1'))).status).toBe(200);
    const refused = await edge.fetch('/v1/ads?q=a', from('192.0.2.1'));
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('60');
    expect(await refused.json()).toMatchObject({ code: 'too_many_requests' });
    expect((await edge.fetch('/v1/ads?q=a', from('192.0.2.2'))).status).toBe(200);
    for (const [method, path] of [
      ['GET', '/v1/click/abc'],
      ['POST', '/v1/conversions'],
      ['POST', '/v1/reconcile'],
    ])
      expect((await edge.fetch(path!, { method: method!, ...from('192.0.2.1') })).status).toBe(429);
    const health = await edge.fetch('/healthz', from('192.0.2.1'));
    expect(await health.json()).toMatchObject({ rateLimit: { failed: 0, refused: 4 } });
    expect(edge.queued).toHaveLength(4);
  });

  it('are counted by the binding of wrangler.toml', async () => {
    const { RATE_LIMIT: binding } = edgeUnderTest().bindings;
    const asked = Array.from({ length: 1_300 }, () => binding!.limit({ key: 'one-client' }));
    const granted = (await Promise.all(asked)).filter(({ success }) => success).length;
    // 600 a minute; at most two minutes took part.
    expect(granted).toBeGreaterThanOrEqual(600);
    expect(granted).toBeLessThanOrEqual(1_200);
    expect(await binding!.limit({ key: 'another-client' })).toEqual({ success: true });
  });

  it.each([
    ['fails', () => Promise.reject(new Error('no limiter'))],
    ['hangs', () => new Promise<never>(() => undefined)],
  ])('refuse nobody when the limiter %s, and know nobody without an address', async (_, limit) => {
    const edge = edgeUnderTest({ RATE_LIMIT: { limit } });
    expect((await edge.fetch('/v1/ads?q=a', { headers: { 'cf-connecting-ip': '192.0.2.1' } })).status).toBe(200);
    expect((await edge.fetch('/v1/ads?q=a')).status).toBe(200);
    expect(await (await edge.fetch('/healthz')).json()).toMatchObject({ rateLimit: { failed: 1, refused: 0 } });
  });

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    // As a proxy names an IPv4 client that came to a socket of both kinds: all of them are one /64.
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.2', '192.0.2.2'],
    ['::ffff:c000:203', '192.0.2.3'],
    ['0:0:0:0:0:FFFF:C000:0204', '192.0.2.4'],
    ['::ffff:0:c000:205', '0:0:0:0::/64'],
    [undefined, undefined],
  ])('%s is counted as %s', (address, key) => {
    expect(clientKey(new Headers(address === undefined ? {} : { 'cf-connecting-ip': address }))).toBe(key);
  });
});

it('every route, and every answer that is none, has its Cache-Control and the security headers', async () => {
  const edge = edgeUnderTest();
  const { slots } = await edge.ads('q=shoes');
  const paths: [method: string, path: string][] = [
    ...EDGE_ROUTES.map(({ method, path }): [string, string] => [
      method.toUpperCase(),
      path.replace('/v1/click/{token}', new URL(slots[0]!.clickUrl).pathname),
    ]),
    ['GET', '/v1/ads?q=shoes'],
    ['GET', '/v1/ads?q='],
    ['GET', '/nowhere'],
    ['DELETE', '/v1/ads'],
  ];
  for (const [method, path] of paths) {
    const { status, headers } = await edge.fetch(path, { method });
    const said = `${method} ${path} (${status})`;
    const shared = ['/openapi.json', '/'].includes(path);
    if (!shared) expect(headers.get('cache-control'), said).toContain('no-store');
    expect(headers.get('cache-control'), said).not.toBeNull();
    expect(headers.get('x-content-type-options'), said).toBe('nosniff');
    expect(headers.get('content-security-policy'), said).toContain("default-src 'none'");
    expect(headers.get('strict-transport-security'), said).toContain('max-age=');
    expect(headers.get('referrer-policy'), said).not.toBeNull();
    expect(headers.get('server'), said).toBeNull();
    if (shared) expect(headers.get('set-cookie'), said).toBeNull();
  }
});

it('no header, named or made up, changes what is answered, or cached for others', async () => {
  const edge = edgeUnderTest();
  const cookie = (await edge.fetch('/v1/ads?q=shoes')).headers.getSetCookie()[0]!.split(';')[0]!;
  const shown = ({ slots, assignments, generation }: Awaited<ReturnType<typeof edge.ads>>) => ({
    assignments,
    generation,
    slots: slots.map(({ clickUrl, ...slot }) => ({ ...slot, origin: new URL(clickUrl).origin })),
  });
  const clean = shown(await edge.ads('q=clean', { headers: { cookie } }));
  let n = 0;
  const changesNothing = async (sent: readonly [name: string, value: string][]) => {
    const query = `q=shoes-${++n}`;
    const given = new Headers([...sent.map(([name, text]): [string, string] => [name, text]), ['cookie', cookie]]);
    expect(shown(await edge.ads(query, { headers: given }))).toEqual(clean);
    const next = await edge.ads(query, { headers: { cookie } });
    expect(next.cache.status).toBe('memory');
    expect(shown(next)).toEqual(clean);
  };
  for (const sent of POISONED) await changesNothing(sent);
  await fc.assert(fc.asyncProperty(headers, changesNothing), { numRuns: 60 });
  expect((await edge.told()).unsigned).toBe(0);
});
