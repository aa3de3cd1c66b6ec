/** Whatever is sent, the answer is a problem with a code, never a 500, and the service goes on. */
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { BACKEND_ROUTES } from '../../../shared/contract/routes.ts';
import { Problem } from '../../../shared/problem.ts';
import { type CallOptions, call, retrieval } from '../../setup/backend.ts';
import { useBackend } from '../../setup/hooks.ts';
import { sampleAd, sampleClick, sampleExperiment, sampleImpression } from '../../setup/samples.ts';

const backend = useBackend();

const VALID: Record<string, unknown> = {
  'post /v1/retrieve': retrieval('red sofa'),
  'post /v1/embeddings': { input: 'red sofa' },
  'post /v1/model': { action: 'reload' },
  'put /v1/ads/{id}': sampleAd({ id: 'ad-0-0' }),
  'patch /v1/ads/{id}': { bidMicros: 7 },
  'post /v1/ads:batch': { ads: [sampleAd()] },
  'put /v1/campaigns/{id}': { id: 'ad-0-0', advertiserId: 'acme', status: 'active', dailyBudgetMicros: 1_000_000 },
  'patch /v1/campaigns/{id}': { status: 'paused' },
  'put /v1/advertisers/{id}': { id: 'ad-0-0', name: 'Acme', status: 'active' },
  'patch /v1/advertisers/{id}': { status: 'active' },
  'put /v1/policies/{id}': { id: 'ad-0-0', blockedIn: ['gb'] },
  'post /v1/generations': { action: 'rollback', to: 99 },
  'post /v1/events': { events: [sampleImpression()] },
  'post /v1/events:reconcile': { ids: ['00000001-0000-4000-8000-000000000000'] },
  'post /v1/events:missing': {
    exposures: [
      {
        impressionId: '00000001-0000-4000-8000-000000000000',
        experiment: 'test',
        arm: 'control',
        atMs: 1_774_744_200_000,
      },
    ],
  },
  'post /v1/judgements': { judgements: [{ market: 'us', query: 'red sofa', adId: 'ad-0-0', relevant: true }] },
  'post /v1/experiments:validate': sampleExperiment(),
  'post /v1/experiments/{key}': { action: 'ramp', share: 1, why: 'more' },
  'put /v1/experiments/{key}': sampleExperiment({ key: 'student-retrieval', layer: 'retrieval' }),
};
const withBody = BACKEND_ROUTES.filter(({ body }) => body !== undefined).map(({ method, path }) => {
  const route = `${method.toUpperCase()} ${path.replace('{id}', 'ad-0-0').replace('{key}', 'student-retrieval')}`;
  return [route as `${string} ${string}`, VALID[`${method} ${path}`]] as const;
});

/** Values that take the place of each field of a valid body, one at a time. */
const WRONG: unknown[] = [
  null,
  '',
  0,
  -1,
  1e9,
  1e308,
  1.5,
  true,
  [],
  {},
  'x'.repeat(10_000),
  '\0',
  '\ud800',
  '👟👟',
  '\u0007\u200b\ufeff',
  ['a'],
  { a: 1 },
  2 ** 53,
  '__proto__',
];

/** Values that break what is behind the schemas, should they get there. */
const HOSTILE: unknown[] = ['\0', 'a\0b', '\ud800', '__proto__', 'x'.repeat(10_000), -1, 1e15, 2 ** 53, 1e308];

/** The value with `put` in the place of each of its leaves, one at a time; the last of a list stands for all of it. */
function* withEachLeaf(value: unknown, put: unknown): Generator<unknown> {
  if (value === null || typeof value !== 'object') yield put;
  else if (Array.isArray(value))
    for (const last of withEachLeaf(value.at(-1), put)) yield [...value.slice(0, -1), last];
  else
    for (const [key, child] of Object.entries(value))
      for (const changed of withEachLeaf(child, put)) yield { ...value, [key]: changed };
}

async function refuses(route: `${string} ${string}`, options: CallOptions) {
  const answer = await call(backend.url, route, options);
  // A deadline that is too short for anybody is the caller's own.
  if (answer.body.code !== 'deadline_exceeded')
    expect(
      answer.status,
      `${route} ${JSON.stringify(options).slice(0, 300)} ${JSON.stringify(answer.body)}`,
    ).toBeLessThan(500);
  if (answer.status >= 400) {
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    const { status, detail } = Problem.parse(answer.body);
    expect([status, detail.includes('\n')]).toEqual([answer.status, false]);
  }
  return answer;
}

describe.each(withBody)('%s', (route, valid) => {
  test('refuses bodies that are none', async () => {
    const wrong: [CallOptions, number][] = [
      [{ raw: '' }, 400],
      [{ raw: 'x'.repeat(10_000) }, 400],
      [{ raw: '{"a":' }, 400],
      [{ raw: 'null' }, 400],
      [{ raw: '[]' }, 400],
      [{ raw: `${'['.repeat(5_000)}${']'.repeat(5_000)}` }, 400],
      [{ raw: Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d) }, 400],
      [{ body: valid, headers: { 'content-type': 'text/plain' } }, 415],
    ];
    for (const [options, status] of wrong) {
      const answer = await refuses(route, options);
      expect([answer.status, options]).toEqual([status, options]);
    }
  });

  test('refuses what is not signed, signed otherwise, late, or played twice', async () => {
    const nonce = crypto.randomUUID();
    const tries: CallOptions[] = [
      { unsigned: true },
      { signedBody: '{}' },
      { nowMs: Date.now() - 61_000 },
      { nowMs: Date.now() + 600_000 }, // by far: the server's clock goes on until the request is there
    ];
    for (const options of tries) expect((await refuses(route, { body: valid, ...options })).status).toBe(401);
    const { status } = await refuses(route, { body: { nonsense: 1 }, nonce });
    expect(status).toBe(400);
    expect((await refuses(route, { body: { nonsense: 1 }, nonce })).status).toBe(401);
  });

  test('survives any value in the place of any field', async () => {
    const fields = Object.keys(valid as object);
    for (const field of [...fields, 'unknown']) {
      for (const value of WRONG) await refuses(route, { body: { ...(valid as object), [field]: value } });
    }
  });
});

test.each(withBody)('%s survives any value in the place of any leaf', async (route, valid) => {
  for (const put of HOSTILE) for (const body of withEachLeaf(valid, put)) await refuses(route, { body });
});

test('any value in a query string is refused or passed over', async () => {
  const values = [
    ...['', '%00', '%ff', '%zz', '%ed%a0%80', '%F0%9F%91%9F', "'%20or%201=1--", '__proto__', 'x'.repeat(5_000)],
    ...['-1', '0', '1.5', '1e308', '9007199254740993', '99999999999999999999', 'NaN', 'Infinity', '[]'],
  ];
  const lists = ['experiments', 'experiments/student-retrieval/audit', 'generations', 'campaigns', 'policies'];
  for (const value of values) {
    for (const list of lists)
      for (const name of ['limit', 'after']) await refuses(`GET /v1/${list}?${name}=${value}`, {});
    const body = sampleExperiment({ key: 'student-retrieval', layer: 'retrieval' });
    await refuses(`PUT /v1/experiments/student-retrieval?by=${value}`, { body });
    await refuses(`PUT /v1/experiments/student-retrieval?why=${value}`, { body });
    const page = await call(backend.url, `GET /dashboard?experiment=${value}`, { unsigned: true });
    expect([value, page.status]).toEqual([value, 404]);
  }
  // These read one parameter or none, and take a while.
  for (const route of ['dashboard?refresh=1e308', 'v1/experiments/student-retrieval/report?after=%00&__proto__=x'])
    expect((await call(backend.url, `GET /${route}`)).status).toBe(200);
});

describe('events and ads of a batch', () => {
  test('survive any value in the place of any field', async () => {
    const events = [sampleImpression(), sampleClick()].flatMap((event) =>
      Object.keys(event).flatMap((field) => WRONG.map((value) => ({ ...event, [field]: value }))),
    );
    const { status, body } = await refuses('POST /v1/events', { body: { events } });
    expect(status).toBe(200);
    expect((body.rejected as unknown[]).length + (body.stored as number) + (body.duplicates as number)).toBe(
      events.length,
    );
    const ads = Object.keys(sampleAd()).flatMap((field) =>
      WRONG.map((value, i) => ({ ...sampleAd({ id: `wrong-${field}-${i}` }), [field]: value })),
    );
    const batch = await refuses('POST /v1/ads:batch', { body: { ads } });
    expect([batch.status, (batch.body.rejected as unknown[]).length + (batch.body.accepted as number)]).toEqual([
      200,
      ads.length,
    ]);
  });
});

describe('addresses', () => {
  test('that lead nowhere, or not by this method, say so', async () => {
    const expected: [`${string} ${string}`, number, string][] = [
      ['GET /', 404, 'not_found'],
      ['GET /v1/ads', 404, 'not_found'],
      ['POST /v1/config', 405, 'method_not_allowed'],
      ['GET /v1/retrieve', 405, 'method_not_allowed'],
      ['DELETE /v1/ads/%00', 404, 'not_found'],
      ['GET /v1/experiments/%00', 404, 'not_found'],
      ['GET /v1/experiments/%ff/report', 404, 'not_found'],
      ['GET /v1/experiments/%zz', 404, 'not_found'],
      [`GET /v1/experiments/${'x'.repeat(5_000)}`, 404, 'not_found'],
      ['GET /%2e%2e/%2e%2e/etc/passwd', 404, 'not_found'],
      ['PATCH /v1/ads/nope', 404, 'not_found'],
    ];
    for (const [route, status, code] of expected) {
      const answer = await refuses(route, route.startsWith('PATCH') ? { body: {} } : {});
      expect([route.slice(0, 50), answer.status, answer.body.code]).toEqual([route.slice(0, 50), status, code]);
    }
  });

  test('of a market that is not served are refused with those that are', async () => {
    const { body } = await refuses('POST /v1/retrieve', { body: retrieval('sofa', { market: 'zz' }) });
    expect(body).toMatchObject({ code: 'unknown_market', detail: expect.stringContaining('us, gb, au') });
  });
});

test('a body that is too large is refused, announced or not', async () => {
  const announced = await refuses('POST /v1/retrieve', { raw: `"${'x'.repeat(2 << 20)}"` });
  expect([announced.status, announced.body.code]).toEqual([413, 'payload_too_large']);
  const signature = {
    'harness-key-id': 'test',
    'harness-timestamp': '1',
    'harness-nonce': '1',
    'harness-signature': '1',
  };
  const chunk = new Uint8Array(256 << 10).fill(0x20);
  let left = 16;
  const body = new ReadableStream({
    pull: (controller) => (left-- > 0 ? controller.enqueue(chunk) : controller.close()),
  });
  const streamed = await fetch(`${backend.url}/v1/retrieve`, {
    method: 'POST',
    body,
    headers: signature,
    duplex: 'half',
  } as RequestInit);
  expect(streamed.status).toBe(413);
});

test('a plan in which nothing can be found is answered with nothing', async () => {
  for (const query of ['\u0007', '👟', 'the of and', '"><script>', "'; drop table ads; --", 'x'.repeat(1_000)]) {
    const answer = await refuses('POST /v1/retrieve', { body: retrieval(query) });
    expect(answer.status).toBe(200);
  }
  expect((await call(backend.url, 'GET /readyz', { unsigned: true })).status).toBe(200);
});

test('bytes that are no HTTP end their connection, not the service', async () => {
  const { port, hostname } = new URL(backend.url);
  for (const bytes of [
    '\0\0\0\0',
    'GET',
    'GET / HTTP/9.9\r\n\r\n',
    'GET // HTTP/1.1\r\nHost: a b\r\n\r\n',
    'GET \u00ff HTTP/1.1\r\nHost: x\r\n\r\n',
  ]) {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.end(bytes));
      socket
        .on('error', () => {})
        .on('close', () => resolve())
        .resume();
    });
  }
  expect((await call(backend.url, 'GET /healthz', { unsigned: true })).status).toBe(200);
});
