import { describe, expect, it } from 'vitest';
import { createApp } from '../../edge/app.ts';
import { clickSigner, clickTail } from '../../edge/click.ts';
import { ClickEvent, ConversionEvent } from '../../shared/contract/events.ts';
import type { AdsResponse } from '../../shared/contract/query-route.ts';
import { TEST_KEYS } from './stand-in.ts';
import { edgeUnderTest, noOutbox } from './under-test.worker.ts';

const EDGE = 'https://edge.example';
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

async function oneClickUrl(edge: ReturnType<typeof edgeUnderTest>, position = 1) {
  const answer = await edge.ads('q=shoes');
  return { answer, path: answer.slots[position - 1]!.clickUrl.slice(EDGE.length) };
}

const post = (body: unknown, headers: Record<string, string> = { 'content-type': 'application/json' }) => ({
  method: 'POST',
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

describe('GET /v1/click/:token', () => {
  it('goes to the ad with a click id, and logs the click with its charge', async () => {
    const edge = edgeUnderTest();
    const { answer, path } = await oneClickUrl(edge, 2);
    const response = await edge.fetch(path);
    expect(response.status).toBe(302);
    expect(response.headers.get('cache-control')).toBe('private, no-store');
    const to = new URL(response.headers.get('location')!);
    // ad-4 in slot 2; what the landing page had in its address stays.
    expect(to.origin + to.pathname + to.hash).toBe('https://shop4.example/shoes#top');
    expect(to.searchParams.get('from')).toBe('ads');
    expect(to.searchParams.get('hclid')).toMatch(/^test\./);
    const impression = edge.queued[0] as { slots: { priceMicros: number }[] };
    expect(ClickEvent.parse(edge.queued[1])).toMatchObject({
      id: `${answer.requestId}:2`,
      impressionId: answer.requestId,
      adId: 'ad-4',
      position: 2,
      chargeMicros: impression.slots[1]!.priceMicros,
      atMs: edge.isolate.clock.now(),
      bot: false,
    });
    // The click id in the address is nobody else's business.
    expect(response.headers.get('referrer-policy')).toBe('no-referrer');
  });

  it.each([
    ['', ''],
    ['?', ''],
    ['?from=ads', 'from=ads&'],
    ['?sig=a%2Fb/c+d%20e~*&flag&list=1,2:3&from=%C3%BC', 'sig=a%2Fb/c+d%20e~*&flag&list=1,2:3&from=%C3%BC&'],
    ['?hclid=old&a=1&xhclid=2', 'a=1&xhclid=2&'],
  ])('leaves the landing page its own query %s, letter by letter', async (query, kept) => {
    const edge = edgeUnderTest();
    const sign = clickSigner(edge.isolate.settings.keys, {
      a: 'ad-1',
      p: 1,
      d: `https://shop.example/x${query}#top`,
      c: 1,
    });
    const path = `/v1/click/${sign(clickTail({ i: 'impression-1', x: 4_000_000_000 }))}`;
    const to = (await edge.fetch(path)).headers.get('location')!;
    const [before, after] = to.split('hclid=test.');
    expect(before).toBe(`https://shop.example/x?${kept}`);
    expect(after).toMatch(/^[\w-]+\.[\w-]+#top$/);
  });

  it('marks the click of a program that says what it is', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    await edge.fetch(path, { headers: { 'user-agent': 'ExampleBot/1.0 (+https://bot.example)' } });
    expect(edge.queued[1]).toMatchObject({ type: 'click', bot: true });
  });

  it('goes to the ad in time when the queue hangs, and stays awake until the click is safe', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    const held = Promise.withResolvers<void>();
    const { bindings, isolate } = edgeUnderTest({ EVENTS: { send: () => held.promise }, EVENT_DEADLINE_MS: '20' });
    const works: Promise<unknown>[] = [];
    const context = { waitUntil: (work: Promise<unknown>) => works.push(work) };
    const request = new Request(EDGE + path, { redirect: 'manual' });
    const response = await createApp(isolate).fetch(request as never, bindings, context as never);
    expect(response.status).toBe(302);
    expect(works.length).toBeGreaterThan(0);
    held.resolve();
    await Promise.all(works);
    expect(isolate.events.counts).toMatchObject({ issued: 1, outboxed: 1, late: 1, failed: 0 });
  });

  it('gives 50 clicks on one link one id', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    const responses = await Promise.all(Array.from({ length: 50 }, () => edge.fetch(path)));
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([302]));
    const clicks = edge.queued.filter(({ type }) => type === 'click');
    expect(clicks).toHaveLength(50);
    expect(new Set(clicks.map(({ id }) => id)).size).toBe(1);
  });

  it('refuses a token with any of its characters changed, added or taken away', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    const token = path.slice('/v1/click/'.length);
    const mutants = [...token].flatMap((char, i) => {
      const swap = char === '.' ? 'A' : BASE64URL[(BASE64URL.indexOf(char) + 1) % 64]!;
      return [token.slice(0, i) + swap + token.slice(i + 1), token.slice(0, i) + token.slice(i + 1)];
    });
    mutants.push(`${token}A`, `${token}=`, `A${token}`, token.toUpperCase(), token.split('.').reverse().join('.'));
    for (const mutant of mutants) {
      const response = await edge.fetch(`/v1/click/${mutant}`);
      expect([response.status, mutant]).toEqual([400, mutant]);
      expect(await response.json()).toMatchObject({ code: 'invalid_token' });
    }
    expect(edge.queued).toHaveLength(1);
  });

  it('refuses a token that was signed for another purpose', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    const landing = new URL((await edge.fetch(path)).headers.get('location')!);
    const cookie = (await edge.fetch('/v1/ads?q=a')).headers.get('set-cookie')!.split(/[=;]/)[1]!;
    for (const token of [landing.searchParams.get('hclid'), cookie]) {
      expect((await edge.problem(`/v1/click/${token}`)).code).toBe('invalid_token');
    }
  });

  it('goes where the token says and nowhere else, whatever else the request says', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    const to = async (url: string, init?: RequestInit) => {
      const { status, headers } = await edge.fetch(url, init);
      return [status, new URL(headers.get('location')!).host];
    };
    for (const name of ['d', 'to', 'url', 'next', 'redirect', 'redirect_uri', 'destination', 'hclid']) {
      expect(await to(`${path}?${name}=https://evil.example/`)).toEqual([302, 'shop5.example']);
    }
    for (const name of ['x-forwarded-host', 'host', 'referer', 'origin', 'x-original-url', 'forwarded']) {
      expect(await to(path, { headers: { [name]: 'evil.example' } })).toEqual([302, 'shop5.example']);
    }
    expect(await to(`https://evil.example${path}`)).toEqual([302, 'shop5.example']);
    // Nor does a signature make an address of what is none.
    const { settings } = edge.isolate;
    for (const d of [
      'javascript:alert(1)',
      'data:text/html,x',
      '//evil.example',
      '/somewhere',
      'ftp://evil.example/',
    ]) {
      const sign = clickSigner(settings.keys, { a: 'ad-1', p: 1, d, c: 1 });
      const token = sign(clickTail({ i: 'impression-1', x: 4_000_000_000 }));
      expect((await edge.problem(`/v1/click/${token}`)).code).toBe('invalid_token');
    }
  });

  it('names the host that the page was asked of, whichever was before', async () => {
    const edge = edgeUnderTest();
    for (const origin of ['https://one.example', 'https://two.example', 'https://one.example']) {
      const answer = (await (await edge.fetch(`${origin}/v1/ads?q=shoes`)).json()) as AdsResponse;
      expect(new Set(answer.slots.map(({ clickUrl }) => new URL(clickUrl).origin))).toEqual(new Set([origin]));
    }
  });

  it('names the origin of PUBLIC_URL in click URLs where one is set, not the host that was asked for', async () => {
    const edge = edgeUnderTest({ PUBLIC_URL: 'https://ads.example' });
    const answer = (await (await edge.fetch('https://evil.example/v1/ads?q=shoes')).json()) as AdsResponse;
    expect(new Set(answer.slots.map(({ clickUrl }) => new URL(clickUrl).origin))).toEqual(
      new Set(['https://ads.example']),
    );
  });

  it('still follows the links of an old key while it is in the ring, and no longer when it is not', async () => {
    const { path } = await oneClickUrl(edgeUnderTest());
    const rotated = 'next:fedcba9876543210-next-secret';
    const during = edgeUnderTest({ HARNESS_KEYS: `${rotated},${TEST_KEYS}` });
    expect((await during.fetch(path)).status).toBe(302);
    expect(during.queued.map(({ type }) => type)).toEqual(['click']);
    expect((await edgeUnderTest({ HARNESS_KEYS: rotated }).problem(path)).code).toBe('invalid_token');
  });

  it('still leads to the ad after a day, and no longer counts', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    edge.later(24 * 3_600 - 60);
    expect((await edge.fetch(path)).status).toBe(302);
    edge.later(120);
    expect((await edge.fetch(path)).status).toBe(302);
    expect(edge.queued.filter(({ type }) => type === 'click')).toHaveLength(1);
  });

  it('does not count a look ahead', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    expect((await edge.fetch(path, { method: 'HEAD' })).status).toBe(302);
    expect((await edge.fetch(path, { headers: { 'sec-purpose': 'prefetch;prerender' } })).status).toBe(302);
    expect(edge.queued.filter(({ type }) => type === 'click')).toEqual([]);
  });
});

describe('POST /v1/conversions', () => {
  async function clicked(edge: ReturnType<typeof edgeUnderTest>) {
    const { answer, path } = await oneClickUrl(edge);
    const landing = new URL((await edge.fetch(path)).headers.get('location')!);
    return { click: `${answer.requestId}:1`, clickId: landing.searchParams.get('hclid')! };
  }

  it('logs the conversion under the click, once an order', async () => {
    const edge = edgeUnderTest();
    const { click, clickId } = await clicked(edge);
    const report = (orderId: string) =>
      edge.fetch('/v1/conversions', post({ clickId, orderId, valueMicros: 42_000_000 }));
    const first = await report('order 1');
    expect([first.status, first.headers.get('cache-control')]).toEqual([202, 'no-store']);
    await report('order 1');
    await report('order 2');
    const conversions = edge.queued.flatMap((event) =>
      event.type === 'conversion' ? [ConversionEvent.parse(event)] : [],
    );
    expect(conversions.map(({ clickId: id, valueMicros }) => [id, valueMicros])).toEqual(
      Array(3).fill([click, 42_000_000]),
    );
    expect(conversions[0]!.id).toBe(conversions[1]!.id);
    expect(conversions[2]!.id).not.toBe(conversions[0]!.id);
    expect(await first.json()).toEqual({ id: conversions[0]!.id });
    // The shop's order number does not leave the edge.
    expect(JSON.stringify(conversions)).not.toContain('order');
    // Another shop may count its orders as this one does.
    const other = await clicked(edge);
    await edge.fetch('/v1/conversions', post({ clickId: other.clickId, orderId: 'order 1', valueMicros: 1 }));
    const { id, clickId: under } = ConversionEvent.parse(edge.queued.at(-1));
    expect([under, conversions.some((conversion) => conversion.id === id)]).toEqual([other.click, false]);
  });

  it.each([
    ['no JSON', '{', undefined, 'bad_request'],
    ['an array', '[]', undefined, 'bad_request'],
    ['null', 'null', undefined, 'bad_request'],
    ['a negative value', { clickId: 'x'.repeat(20), orderId: 'o', valueMicros: -1 }, undefined, 'bad_request'],
    ['a fraction', { clickId: 'x'.repeat(20), orderId: 'o', valueMicros: 0.5 }, undefined, 'bad_request'],
    ['an empty order', { clickId: 'x'.repeat(20), orderId: '', valueMicros: 1 }, undefined, 'bad_request'],
    ['an unknown field', { clickId: 'x'.repeat(20), orderId: 'o', valueMicros: 1, to: 'me' }, undefined, 'bad_request'],
    ['a forged click id', { clickId: 'test.AAAA.BBBBBBBBB', orderId: 'o', valueMicros: 1 }, undefined, 'invalid_token'],
    ['text', 'hello', { 'content-type': 'text/plain' }, 'unsupported_media_type'],
    ['no type', '{}', { 'content-type': '' }, 'unsupported_media_type'],
    ['5 kB', { clickId: 'x'.repeat(5_000), orderId: 'o', valueMicros: 1 }, undefined, 'payload_too_large'],
  ])('refuses %s', async (_, body, headers, code) => {
    const edge = edgeUnderTest();
    expect((await edge.problem('/v1/conversions', post(body, headers))).code).toBe(code);
    expect(edge.queued).toEqual([]);
  });

  it('refuses a click token where a click id is meant', async () => {
    const edge = edgeUnderTest();
    const { path } = await oneClickUrl(edge);
    const clickId = path.slice('/v1/click/'.length).slice(0, 400);
    const problem = await edge.problem('/v1/conversions', post({ clickId, orderId: 'o', valueMicros: 1 }));
    expect(problem.code).toBe('invalid_token');
  });

  it('asks to be told again when the conversion is safe nowhere', async () => {
    const full = () => Promise.reject(new Error('queue is full'));
    const edge = edgeUnderTest({ EVENTS: { send: full }, OUTBOX: noOutbox });
    await edge.backend({ events: 'fail' });
    const { clickId } = await clicked(edge);
    const problem = await edge.problem('/v1/conversions', post({ clickId, orderId: 'o', valueMicros: 1 }));
    expect(problem).toMatchObject({ code: 'backend_unavailable', retryAfterSeconds: 5 });
  });

  it('promises nothing while queue and outbox hang: told again, the order counts once all the same', async () => {
    const edge = edgeUnderTest();
    const { clickId } = await clicked(edge);
    const held = Promise.withResolvers<void>();
    const hanging = { idFromName: () => '', get: () => ({ fetch: () => held.promise.then(() => new Response()) }) };
    const { bindings, isolate } = edgeUnderTest({
      EVENTS: { send: () => held.promise },
      OUTBOX: hanging,
      EVENT_DEADLINE_MS: '20',
    });
    const works: Promise<unknown>[] = [];
    const context = { waitUntil: (work: Promise<unknown>) => works.push(work) };
    const report = new Request(`${EDGE}/v1/conversions`, post({ clickId, orderId: 'o', valueMicros: 1 }));
    const response = await createApp(isolate).fetch(report as never, bindings, context as never);
    expect(response.status).toBe(503);
    held.resolve();
    await Promise.all(works);
  });
});
