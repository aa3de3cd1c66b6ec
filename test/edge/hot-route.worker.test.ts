/** The hot route beside the application's: the same answers, headers and problems, whichever way a request goes. */
import { describe, expect, it } from 'vitest';
import { createApp } from '../../edge/app.ts';
import { isAds } from '../../edge/hot-route.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { edgeUnderTest } from './under-test.worker.ts';

it.each([
  ['https://edge.example/v1/ads', true],
  ['https://edge.example/v1/ads?q=shoes', true],
  ['http://127.0.0.1:8787/v1/ads?q=/v1/other', true],
  ['https://edge.example/v1/adsense?q=shoes', false],
  ['https://edge.example/v1/ads/', false],
  ['https://edge.example/v1/ad%73?q=shoes', false],
  ['https://edge.example/?next=/v1/ads', false],
  ['https://edge.example/x/v1/ads', false],
])('%s: %s', (url, expected) => {
  expect(isAds(url)).toBe(expected);
});

describe('GET /v1/ads past the router', () => {
  it.each([
    ['an answer', 'q=shoes', 200],
    ['a refusal', 'q=', 400],
  ])('has the headers of the same through it: %s', async (_, query, status) => {
    const edge = edgeUnderTest();
    const past = await edge.fetch(`/v1/ads?${query}`);
    // The same path in another spelling goes through the router.
    const through = await edge.fetch(`/v1/ad%73?${query}`);
    const headers = ({ headers }: Response) =>
      Object.fromEntries([...headers].map(([name, value]) => [name, name === 'set-cookie' ? '' : value]));
    expect([past.status, through.status]).toEqual([status, status]);
    expect(headers(past)).toEqual(headers(through));
    expect(past.headers.get('content-security-policy')).toContain("default-src 'none'");
    const keys = async (response: Response) => Object.keys((await response.json()) as object);
    expect(await keys(past)).toEqual(await keys(through));
  });

  it('is an impression; to ask for its headers is none', async () => {
    const edge = edgeUnderTest();
    const head = (query: string) => edge.fetch(`/v1/ads?${query}`, { method: 'HEAD' });
    const [answer, refusal] = [await head('q=shoes'), await head('q=')];
    expect([answer.status, await answer.text(), refusal.status]).toEqual([200, '', 400]);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect([edge.queued, (await edge.told()).retrieved]).toEqual([[], []]);
    await edge.ads('q=shoes');
    expect(edge.queued).toHaveLength(1);
  });

  it('knows the configuration in an isolate that nobody asked before, as the playground does', async () => {
    const config = { ...DEFAULT_CONFIG, version: 3, markets: ['us', 'nz'] };
    for (const [path, method] of [
      ['/v1/ads?q=shoes&market=nz', 'HEAD'],
      ['/', 'GET'],
    ] as const) {
      const edge = edgeUnderTest();
      await edge.backend({ config });
      const answer = await edge.fetch(path, { method });
      expect(answer.status).toBe(200);
      if (method === 'GET') expect(await answer.text()).toContain('<option>nz</option>');
    }
  });

  it('logs what went wrong on our side, once, and says the request id alone', async () => {
    const edge = edgeUnderTest();
    const logged: string[] = [];
    const broken = {
      ...edge.isolate,
      serving: () => {
        throw new Error('a fault of ours');
      },
      onError: (message: string) => void logged.push(message),
    };
    const context = { waitUntil: () => undefined, passThroughOnException: () => undefined, props: {} };
    const request = new Request('https://edge.example/v1/ads?q=shoes') as never;
    const response = await createApp(broken as never).fetch(request, {} as never, context as never);
    const problem = (await response.json()) as { requestId: string };
    expect(response.status).toBe(500);
    expect(JSON.stringify(problem)).not.toContain('a fault of ours');
    expect(logged).toEqual([`GET /v1/ads (${problem.requestId})`]);
  });
});
