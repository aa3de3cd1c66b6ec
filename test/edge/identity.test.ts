import { LRUCache } from 'lru-cache';
import { describe, expect, it, vi } from 'vitest';
import { identify, isBot, readCookie, UNIT_COOKIE } from '../../edge/identity.ts';
import { signToken } from '../../shared/signature.ts';

const OLD = { id: 'old', secret: 'an-old-secret-of-16+' };
const NEW = { id: 'new', secret: 'a-new-secret-of-16-+' };
let n = 0;
const newId = () => `id-${++n}`;
const cookieOf = (setCookie: string | undefined) => setCookie!.split(';')[0]!;
const visit = (cookie: string | undefined, keys = [NEW]) =>
  identify(new Headers(cookie === undefined ? {} : { cookie }), { keys, newId, policy: 'assumed' });

describe('identify', () => {
  it('keeps a visitor over a change of the signing key, until the old key is dropped', async () => {
    const before = await visit(undefined, [OLD]);
    const cookie = cookieOf(before.setCookie);
    const during = await visit(cookie, [NEW, OLD]);
    expect(during).toEqual({ unitId: before.unitId, bot: false, consent: true, setCookie: undefined });
    const after = await visit(cookie, [NEW]);
    expect(after.unitId).not.toBe(before.unitId);
    expect(after.setCookie).toBeDefined();
  });

  it('knows a visitor whom an isolate that signs with the next key has met, once it has that key too', async () => {
    const ahead = await visit(undefined, [NEW, OLD]);
    const cookie = cookieOf(ahead.setCookie);
    expect((await visit(cookie, [OLD, NEW])).unitId).toBe(ahead.unitId);
    expect((await visit(cookie, [OLD])).unitId).not.toBe(ahead.unitId);
  });

  it('never lets the unit id tell the cookie, nor the other way round', async () => {
    const { unitId, setCookie } = await visit(undefined);
    const token = cookieOf(setCookie).slice(UNIT_COOKIE.length + 1);
    const id = atob(token.split('.')[1]!);
    expect(setCookie).not.toContain(unitId);
    expect(unitId).not.toContain(id);
    expect(unitId).not.toBe((await visit(cookieOf(setCookie), [{ ...NEW, secret: 'another-secret-16-+' }])).unitId);
  });

  it('verifies a visitor once, and remembers nobody who does not verify', async () => {
    const cookie = cookieOf((await visit(undefined)).setCookie);
    const known = new LRUCache<string, string>({ max: 2 });
    const verify = vi.spyOn(crypto.subtle, 'verify');
    const again = (given: string) =>
      identify(new Headers({ cookie: given }), { keys: [NEW], newId, policy: 'assumed', known });
    const first = await again(cookie);
    expect(await again(cookie)).toEqual(first);
    expect(verify).toHaveBeenCalledOnce();
    const forged = `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`;
    const units = [await again(forged), await again(forged)].map(({ unitId }) => unitId);
    expect(new Set([first.unitId, ...units]).size).toBe(3);
    expect(known.size).toBe(1);
    // Consent is asked for every time.
    expect((await again(`${cookie}; harness-consent=denied`)).unitId).not.toBe(first.unitId);
    verify.mockRestore();
  });

  it('does not take a token of another purpose for a visitor', async () => {
    const token = await signToken([NEW], 'click', 'id-1');
    expect((await visit(`${UNIT_COOKIE}=${token}`)).setCookie).toBeDefined();
  });
});

describe('consent', () => {
  it.each<[policy: 'assumed' | 'required', headers: Record<string, string>, consent: boolean]>([
    ['assumed', {}, true],
    ['assumed', { cookie: 'harness-consent=granted' }, true],
    ['assumed', { cookie: 'harness-consent=denied' }, false],
    ['assumed', { 'sec-gpc': '1' }, false],
    ['required', {}, false],
    ['required', { cookie: 'harness-consent=granted' }, true],
    ['required', { cookie: 'harness-consent=yes' }, false],
    ['required', { cookie: 'harness-consent=granted', 'sec-gpc': '1' }, false],
  ])('%s, %j: %s', async (policy, headers, consent) => {
    const { setCookie } = await visit(undefined);
    const cookie = [cookieOf(setCookie), headers.cookie].filter(Boolean).join('; ');
    const known = await visit(cookieOf(setCookie));
    const options = { keys: [NEW], newId, policy };
    const first = await identify(new Headers(headers), options);
    expect([first.consent, first.setCookie !== undefined]).toEqual([consent, consent]);
    // A cookie from before is read only with consent; without it every request is another unit.
    const again = [1, 2].map(() => identify(new Headers({ ...headers, cookie }), options));
    const units = (await Promise.all(again)).map(({ unitId }) => unitId);
    expect(units.map((unitId) => unitId === known.unitId)).toEqual([consent, consent]);
    expect(new Set(units).size).toBe(consent ? 1 : 2);
  });
});

describe('readCookie', () => {
  it.each([
    [null, undefined],
    ['', undefined],
    ['a=1', '1'],
    [' b=2 ;a = 1; c', '1'],
    ['aa=1; a=2', '2'],
    ['a=x=y', 'x=y'],
    ['a', undefined],
    ['=a; ;;a=1', '1'],
  ])('%j', (header, value) => {
    expect(readCookie(header, 'a')).toBe(value);
  });
});

describe('isBot', () => {
  it.each([
    'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'Mozilla/5.0 (compatible; bingbot/2.0)',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0 Safari/537.36',
    'facebookexternalhit/1.1',
    'curl/8.5.0',
    'python-requests/2.32',
    'Baiduspider',
    'AhrefsBot/7.0',
    'Mozilla/5.0 (compatible; YandexBot/3.0)',
  ])('%s is one', (userAgent) => {
    expect(isBot(userAgent)).toBe(true);
  });

  it.each([
    null,
    '',
    'node',
    'okhttp/4.12.0',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1',
    'Mozilla/5.0 (Linux; Android 15; CUBOT NOTE 50) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36',
  ])('%s is none', (userAgent) => {
    expect(isBot(userAgent)).toBe(false);
  });
});
