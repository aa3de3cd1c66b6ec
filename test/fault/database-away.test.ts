/** A real Postgres that goes and comes back under a running backend, and a backend that is killed while it takes events. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { EventBatchResult, HarnessEvent } from '../../shared/contract/events.ts';
import {
  backendEnvironment,
  call,
  loadTestMarket,
  makeFolders,
  retrieval,
  start,
  type TestFolders,
} from '../setup/backend.ts';
import { DATABASE_TIMEOUT_MS } from '../setup/databases.ts';
import { freePort } from '../setup/free-port.ts';
import { type PostgresServer, startPostgresServer } from '../setup/postgres-server.ts';
import { sampleClick, sampleImpression } from '../setup/samples.ts';

let server: PostgresServer;
let folders: TestFolders;
beforeAll(async () => {
  [server, folders] = await Promise.all([startPostgresServer(), makeFolders()]);
}, DATABASE_TIMEOUT_MS);
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
const metric = async (url: string, name: string) => {
  const { body } = await call<string>(url, 'GET /metrics', { unsigned: true });
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body)?.[1]);
};

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds().catch(() => false))) await pause(50);
}

async function stored(databaseUrl: string): Promise<{ impressions: number; clicks: number; spent: number }> {
  const client = postgres(databaseUrl, { max: 1 });
  const [row] = await client`select (select count(*)::int from impressions) as impressions,
    (select count(*)::int from clicks) as clicks, (select coalesce(sum(spent_micros), 0)::int from ad_spend) as spent`;
  await client.end();
  return row as { impressions: number; clicks: number; spent: number };
}

test('while the database is away queries are answered and events go to disk; they are stored once when it is back', async () => {
  const databaseUrl = await server.createDatabase();
  const backend = await start(folders, { DATABASE_URL: databaseUrl });
  onTestFinished(() => backend.stop());
  const { url } = backend;
  await loadTestMarket(url);
  expect((await post(url, page('before-0'))).body).toMatchObject({ stored: 2 });
  const before = await call<{ candidates: unknown }>(url, 'POST /v1/retrieve', { body: retrieval('red sofa') });

  for (const signal of ['SIGQUIT', 'SIGINT'] as const) {
    await server.halt(signal);
    const away = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        post(url, [...page(`${signal}-${i}`), ...page('before-0'), { type: 'nonsense' }]),
      ),
    );
    expect(away.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(away[0]!.body).toMatchObject({ stored: 0, spooled: 4, rejected: [{ index: 4 }] });

    const during = await call<{ candidates: unknown }>(url, 'POST /v1/retrieve', { body: retrieval('red sofa') });
    expect([during.status, during.body.candidates]).toEqual([200, before.body.candidates]);
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

describe('killed', () => {
  async function startProcess(databaseUrl: string, port: number): Promise<{ child: ChildProcess; url: string }> {
    const environment = backendEnvironment(folders, {
      PORT: String(port),
      LOG_LEVEL: 'error',
      DATABASE_URL: databaseUrl,
    });
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'gpu-backend/main.ts'], {
      env: { ...process.env, ...environment },
      stdio: 'inherit',
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const url = `http://127.0.0.1:${port}`;
    await until(async () => (await call(url, 'GET /v1/config')).status === 200);
    return { child, url };
  }

  test('with the database there, and with events on disk only: what was acknowledged is there, what was not is sent again', async () => {
    const databaseUrl = await server.createDatabase();
    const port = await freePort();
    let { child, url } = await startProcess(databaseUrl, port);
    const sent: string[] = [];
    const unanswered: HarnessEvent[][] = [];
    /** Sends pages until the process is dead. */
    const send = async (name: string) => {
      for (let i = 0; ; i++) {
        const id = `${name}-${i}`;
        sent.push(id);
        try {
          const { status } = await post(url, page(id));
          if (status !== 200) throw new Error(String(status));
        } catch {
          unanswered.push(page(id));
          return;
        }
      }
    };
    for (const [turn, away] of [false, true, false].entries()) {
      if (away) await server.halt('SIGQUIT');
      const senders = Array.from({ length: 4 }, (_, i) => send(`turn-${turn}-${i}`));
      await until(async () => sent.filter((id) => id.startsWith(`turn-${turn}`)).length >= 15);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await Promise.all(senders);
      if (away) await server.resume();
      ({ child, url } = await startProcess(databaseUrl, port));
      for (const events of unanswered.splice(0)) expect((await post(url, events)).status).toBe(200);
    }
    await until(async () => (await metric(url, 'harness_spool_bytes')) === 0);
    const count = sent.length;
    expect(await stored(databaseUrl)).toMatchObject({ impressions: count, clicks: count, spent: 500_000 * count });
  });
});
