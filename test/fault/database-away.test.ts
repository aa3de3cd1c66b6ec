/** A real Postgres that goes and comes back under a running backend, and a backend that is killed while it takes events. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { EventBatchResult, HarnessEvent } from '../../shared/contract/events.ts';
import { call, loadTestMarket, makeFolders, retrieval, start, type TestFolders } from '../setup/backend.ts';
import { killedIngest, metric, until } from '../setup/killed-ingest.ts';
import { mutableProxy } from '../setup/mutable-proxy.ts';
import { type PostgresServer, startPostgresServer } from '../setup/postgres-server.ts';
import { sampleClick, sampleImpression } from '../setup/samples.ts';

let server: PostgresServer;
let folders: TestFolders;
beforeAll(async () => {
  [server, folders] = await Promise.all([startPostgresServer(), makeFolders()]);
});
afterAll(async () => {
  await server?.stop();
  folders?.remove();
});

const page = (id: string): HarnessEvent[] => [
  sampleImpression({ id }),
  sampleClick({ id: `${id}:1`, impressionId: id }),
];
const post = async (url: string, events: unknown[]) =>
  call<EventBatchResult & { code: string }>(url, 'POST /v1/events', { body: { events } });

async function stored(databaseUrl: string): Promise<{ impressions: number; clicks: number }> {
  const client = postgres(databaseUrl, { max: 1 });
  const [row] = await client`select (select count(*)::int from impressions) as impressions,
    (select count(*)::int from clicks) as clicks`;
  await client.end();
  return row as { impressions: number; clicks: number };
}

test('while the database is away queries are answered and events go to disk; they are stored once when it is back', async () => {
  const databaseUrl = await server.createDatabase();
  const backend = await start(folders, { DATABASE_URL: databaseUrl });
  onTestFinished(() => backend.stop());
  const { url } = backend;
  await loadTestMarket(url);
  expect((await post(url, page('before-0'))).body).toMatchObject({ stored: 2 });
  const before = await call<{ candidates: unknown }>(url, 'POST /v1/retrieve', { body: retrieval('red sofa') });

  let failures = 0;
  for (const signal of ['SIGQUIT', 'SIGINT'] as const) {
    await server.halt(signal);
    // Where they cannot be put on disk either, the caller keeps them, and it is counted.
    const spool = join(folders.data, 'spool');
    renameSync(spool, `${spool}.elsewhere`);
    const refused = await post(url, page(`${signal}-0`));
    expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([503, 'not_ready', '10']);
    expect(await metric(url, 'harness_spool_failures_total')).toBe(++failures);
    renameSync(`${spool}.elsewhere`, spool);

    const away = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        post(url, [...page(`${signal}-${i}`), ...page('before-0'), { type: 'nonsense' }]),
      ),
    );
    expect(away.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(away[0]!.body).toMatchObject({ stored: 0, spooled: 4, rejected: [{ index: 4 }] });

    const during = await call<{ candidates: unknown }>(url, 'POST /v1/retrieve', { body: retrieval('red sofa') });
    expect([during.status, during.body.candidates]).toEqual([200, before.body.candidates]);
    expect(await call(url, 'POST /v1/model', { body: { action: 'reload' } })).toMatchObject({
      status: 200,
      body: { changed: false },
    });
    const ready = await call(url, 'GET /readyz', { unsigned: true });
    expect(ready).toMatchObject({
      status: 200,
      body: { status: 'degraded', database: expect.stringMatching(/^away: /) },
    });
    expect(ready.body.spooledBytes).toBeGreaterThan(1_000);
    expect(await metric(url, 'harness_database_up')).toBe(0);
    expect(await metric(url, 'harness_spool_bytes')).toBe(ready.body.spooledBytes);
    for (const route of ['GET /v1/config', 'GET /v1/kill-list', 'DELETE /v1/ads/ad-0-0', 'GET /dashboard']) {
      const refused = await call(url, route as `${string} ${string}`);
      expect([route, refused.status, refused.body.code]).toEqual([route, 503, 'not_ready']);
      expect(refused.body.detail).toContain('The database is away');
      expect(refused.headers.get('retry-after')).toBe('2');
    }

    await server.resume();
    await until(async () => (await metric(url, 'harness_spool_bytes')) === 0);
    expect((await call(url, 'GET /readyz', { unsigned: true })).body.status).toBe('ok');
    expect((await call(url, 'GET /v1/config')).status).toBe(200);
  }
  // A page each before, twice ten while it was away; every one was sent again with a delivery of the first.
  expect(await stored(databaseUrl)).toMatchObject({ impressions: 21, clicks: 21 });
  expect((await post(url, page('SIGINT-0'))).body).toMatchObject({ stored: 0, duplicates: 2 });
});

test('a database that goes without a word is away like any other, and the sessions that it left are not waited for', async () => {
  const databaseUrl = await server.createDatabase();
  const proxy = await mutableProxy(databaseUrl);
  onTestFinished(() => proxy.close());
  // Longer than a busy machine stands still: what is ended earlier would be an absence of its own.
  const limits = { HARNESS_STATEMENT_SECONDS: '4', HARNESS_IDLE_TRANSACTION_SECONDS: '4' };
  const { url, stop } = await start(folders, { DATABASE_URL: proxy.url, ...limits });
  onTestFinished(stop);
  // More at once than there are sessions, so that all of them are open, and left.
  const send = (name: string) => Promise.all(Array.from({ length: 20 }, (_, i) => post(url, page(`${name}-${i}`))));
  const configs = () => Promise.all(Array.from({ length: 20 }, () => call(url, 'GET /v1/experiments')));
  expect((await send('before')).map(({ body }) => body.stored)).toEqual(Array(20).fill(2));
  await configs();

  proxy.mute();
  const [during, refused] = await Promise.all([send('during'), configs()]);
  expect(during.map(({ status, body }) => [status, body.spooled])).toEqual(Array(20).fill([200, 2]));
  expect(refused.map(({ status, body }) => [status, body.code])).toEqual(Array(20).fill([503, 'not_ready']));

  proxy.unmute();
  await until(async () => (await metric(url, 'harness_spool_bytes')) === 0);
  expect((await configs()).map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(await stored(databaseUrl)).toEqual({ impressions: 40, clicks: 40 });
});

test('a backend that is killed, with the database there or away, loses and doubles nothing', {
  timeout: 600_000,
}, async () => {
  const kills = [
    { away: false, requests: 9 },
    { away: true, requests: 14 },
    { away: false, requests: 1 },
  ];
  const { issued, ...outcome } = await killedIngest({ server, folders, kills });
  expect(issued).toBeGreaterThanOrEqual(2 * (9 + 14 + 1));
  expect(outcome).toMatchObject({ lost: 0, doubled: 0 });
  expect(outcome.repeated).toBeGreaterThanOrEqual(3);
});
