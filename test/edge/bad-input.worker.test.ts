import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { queryPiece } from './fuzz.ts';
import { edgeUnderTest } from './under-test.worker.ts';

it('runs where the Worker runs', () => {
  expect(navigator.userAgent).toBe('Cloudflare-Workers');
});

describe('what is wrong with a request is said with a code', () => {
  const long = 'a'.repeat(201);
  it.each([
    ['no query', '/v1/ads', 'bad_request'],
    ['no query, other parameters', '/v1/ads?market=us', 'bad_request'],
    ['an empty query', '/v1/ads?q=', 'query_empty'],
    ['white space', '/v1/ads?q=%20%09%0A+', 'query_empty'],
    ['control characters only', '/v1/ads?q=%00%01%1F%7F', 'query_empty'],
    ['invisible characters only', '/v1/ads?q=%E2%80%8B%EF%BB%BF%C2%AD', 'query_empty'],
    ['201 characters', `/v1/ads?q=${long}`, 'query_too_long'],
    ['10 kB', `/v1/ads?q=${'running+shoes+'.repeat(730)}`, 'query_too_long'],
    ['10 kB of spaces', `/v1/ads?q=${'+'.repeat(10_000)}a`, 'query_too_long'],
    ['a character that becomes many', `/v1/ads?q=${'%EF%B7%BA'.repeat(12)}`, 'query_too_long'],
    ['invalid UTF-8', '/v1/ads?q=%FF%FE', 'bad_request'],
    ['half a character', '/v1/ads?q=caf%C3', 'bad_request'],
    ['an encoded surrogate', '/v1/ads?q=%ED%A0%80', 'bad_request'],
    ['overlong UTF-8', '/v1/ads?q=%C0%AF', 'bad_request'],
    ['a malformed escape', '/v1/ads?q=100%zz', 'bad_request'],
    ['an escape cut short', '/v1/ads?q=100%', 'bad_request'],
    ['a repeated query', '/v1/ads?q=a&q=b', 'bad_request'],
    ['a repeated empty query', '/v1/ads?q=&q=', 'bad_request'],
    ['a repeated market', '/v1/ads?q=a&market=us&market=gb', 'bad_request'],
    ['an unknown market', '/v1/ads?q=a&market=zz', 'unknown_market'],
    ['a market that is none', '/v1/ads?q=a&market=USA', 'bad_request'],
    ['an empty market', '/v1/ads?q=a&market=', 'bad_request'],
    ['an unknown locale', '/v1/ads?q=a&locale=fr-FR', 'unknown_locale'],
    ['a locale that is none', '/v1/ads?q=a&locale=../etc', 'bad_request'],
    ['n = 0', '/v1/ads?q=a&n=0', 'bad_request'],
    ['n = -1', '/v1/ads?q=a&n=-1', 'bad_request'],
    ['n = 1e9', '/v1/ads?q=a&n=1e9', 'bad_request'],
    ['n = 1.5', '/v1/ads?q=a&n=1.5', 'bad_request'],
    ['n = NaN', '/v1/ads?q=a&n=NaN', 'bad_request'],
    ['n without a value', '/v1/ads?q=a&n=', 'bad_request'],
    ['n = [object]', '/v1/ads?q=a&n=[1]', 'bad_request'],
    ['an unknown route', '/v1/nothing', 'not_found'],
    ['a path that climbs', '/v1/ads/..%2f..%2fetc%2fpasswd', 'not_found'],
    ['a path with a broken escape', '/v1/%zz', 'not_found'],
    ['a click without a token', '/v1/click/', 'not_found'],
    ['a forged click token', '/v1/click/test.eyJpIjoiYSJ9.AAAA', 'invalid_token'],
    ['a click token that is none', '/v1/click/hello', 'invalid_token'],
    ['a click token with a broken escape', '/v1/click/%E0%A4%A', 'invalid_token'],
    ['a click token of 8 kB', `/v1/click/${'a'.repeat(8_000)}`, 'invalid_token'],
  ])('%s', async (_, path, code) => {
    const edge = edgeUnderTest();
    const problem = await edge.problem(path);
    expect(problem.code).toBe(code);
    expect(problem.status).toBeLessThan(500);
    expect(problem.detail).not.toContain('\n');
    expect(problem.requestId).toBeDefined();
    expect(edge.queued).toEqual([]);
  });

  it.each([
    ['POST', '/v1/ads?q=a', 'GET'],
    ['DELETE', '/healthz', 'GET'],
    ['GET', '/v1/conversions', 'POST'],
    ['PUT', '/v1/click/abc', 'GET'],
    ['PATCH', '/', 'GET'],
  ])('%s %s is answered with the method that is meant', async (method, path, allow) => {
    const response = await edgeUnderTest().fetch(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allow);
    expect(await response.json()).toMatchObject({ code: 'method_not_allowed' });
  });
});

describe('what is unusual but right is answered', () => {
  it.each([
    ['emoji', '/v1/ads?q=%F0%9F%91%9F%F0%9F%8F%BD+shoes'],
    ['a family of emoji', `/v1/ads?q=${encodeURIComponent('👨‍👩‍👧 tent')}`],
    ['200 characters', `/v1/ads?q=${'a'.repeat(200)}`],
    ['200 emoji', `/v1/ads?q=${'%F0%9F%91%9F'.repeat(200)}`],
    ['right to left', `/v1/ads?q=${encodeURIComponent('می‌خواهم کفش')}`],
    ['a NUL in the middle', '/v1/ads?q=a%00b'],
    ['unescaped characters', '/v1/ads?q=café"<>|^`{}'],
    ['an equals sign in the query', '/v1/ads?q=a=b=c'],
    ['unknown parameters, broken ones too', '/v1/ads?q=a&utm=%zz&__proto__=1&constructor=2&&=&x'],
    ['a fragment', '/v1/ads?q=a#q=b'],
    ['another case of the locale', '/v1/ads?q=a&locale=en-gb'],
  ])('%s', async (_, path) => {
    const edge = edgeUnderTest();
    expect((await edge.fetch(path)).status).toBe(200);
    expect(edge.queued).toHaveLength(1);
  });
});

it('no query string whatever gives anything but 200 or 400', async () => {
  const edge = edgeUnderTest();
  await edge.ads('q=warm-up');
  await fc.assert(
    fc.asyncProperty(fc.array(queryPiece, { maxLength: 8 }), async (pieces) => {
      const response = await edge.fetch(`/v1/ads?q=${pieces.join('')}`);
      await response.text();
      expect([200, 400]).toContain(response.status);
    }),
    { numRuns: 150 },
  );
});
