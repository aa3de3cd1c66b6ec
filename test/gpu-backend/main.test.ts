/** The life of the service: what it keeps over a restart and over a kill, how it stops, and what it says when it cannot start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { z } from 'zod';
import type { Backend } from '../../gpu-backend/main.ts';
import type { EventBatchResult } from '../../shared/contract/events.ts';
import type { GenerationList } from '../../shared/contract/generations.ts';
import { parseKeyRing, signRequest } from '../../shared/signature.ts';
import {
  backendEnvironment,
  call,
  loadTestMarket,
  makeFolders,
  retrieval,
  start as startBackend,
  TEST_KEYS,
  type TestFolders,
} from '../setup/backend.ts';
import { freePort } from '../setup/free-port.ts';
import { startPostgresServer } from '../setup/postgres-server.ts';
import { sampleExperiment, sampleImpression } from '../setup/samples.ts';

let folders: TestFolders;
beforeAll(async () => {
  folders = await makeFolders();
});
afterAll(() => folders?.remove());

/** A backend in this process that is stopped with the test, however that ends. */
async function start(where = folders, change: Record<string, string> = {}): Promise<Backend> {
  const backend = await startBackend(where, change);
  onTestFinished(() => backend.stop());
  return backend;
}

const found = async (url: string, query: string) => {
  const { body } = await call<{ candidates: { adId: string }[] }>(url, 'POST /v1/retrieve', { body: retrieval(query) });
  return body.candidates.map(({ adId }) => adId);
};
const impressions = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => sampleImpression({ id: `lasting-${from + i}` }));

/** The backend as a process of its own, on a port known beforehand. */
async function startProcess(change: Record<string, string> = {}): Promise<{ child: ChildProcess; url: string }> {
  const port = await freePort();
  const child = spawn(process.execPath, ['gpu-backend/main.ts'], {
    env: { ...process.env, ...backendEnvironment(folders, { PORT: String(port), LOG_LEVEL: 'info', ...change }) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdout!.setEncoding('utf8');
  for await (const [text] of on(child)) if (text.includes('"listening"')) break;
  return { child, url: `http://127.0.0.1:${port}` };
}
async function* on(child: ChildProcess): AsyncGenerator<[string]> {
  for (;;) yield (await once(child.stdout!, 'data')) as [string];
}

describe('over a restart', () => {
  test('catalogue, generation, kill list, experiments and events are kept', async () => {
    let backend = await start(folders);
    await loadTestMarket(backend.url);
    await call(backend.url, 'PATCH /v1/ads/ad-0-0', { body: { status: 'paused' } });
    await call(backend.url, 'PATCH /v1/ads/ad-0-1', { body: { title: 'crimson sofa' } });
    await call(backend.url, 'DELETE /v1/ads/ad-0-2');
    await call(backend.url, 'PUT /v1/experiments/threshold', { body: sampleExperiment() });
    await call(backend.url, 'POST /v1/events', { body: { events: impressions(0, 10) } });
    const before = (await call(backend.url, 'GET /v1/config')).body;
    const answer = await found(backend.url, 'crimson sofa');
    expect(answer[0]).toBe('ad-0-1');
    await backend.stop();

    backend = await start(folders);
    expect((await call(backend.url, 'GET /readyz', { unsigned: true })).status).toBe(200);
    expect((await call(backend.url, 'GET /v1/config')).body).toEqual(before);
    expect(before.killList).toEqual(['ad-0-0', 'ad-0-2']);
    expect(await found(backend.url, 'crimson sofa')).toEqual(answer);
    expect(answer).not.toContain('ad-0-0');
    expect(answer).not.toContain('ad-0-2');
    const again = await call<EventBatchResult>(backend.url, 'POST /v1/events', {
      body: { events: impressions(0, 11) },
    });
    expect(again.body).toEqual({ stored: 1, duplicates: 10, rejected: [] });
    await backend.stop();
    await backend.stop();
  });

  test('a generation whose publication the database never heard of is live all the same', async () => {
    let backend = await start(folders);
    const { generation } = (await call<{ generation: number }>(backend.url, 'GET /v1/config')).body;
    await backend.stop();
    // As after a crash between the pointer's rename and the commit, by setting the pointer back and forth by hand.
    const pointer = join(folders.data, 'generations', 'live');
    backend = await start(folders);
    await call(backend.url, 'POST /v1/generations', { body: { action: 'build' } });
    await backend.stop();
    expect(readFileSync(pointer, 'utf8').trim()).toBe(String(generation + 1));
    writeFileSync(pointer, `${generation}\n`);
    backend = await start(folders);
    const { body: config } = await call<{ generation: number; version: number }>(backend.url, 'GET /v1/config');
    const { body } = await call<z.infer<typeof GenerationList>>(backend.url, 'GET /v1/generations');
    // Numbers never go back: the older content is live under a number that no edge has seen.
    expect(config.generation).toBe(generation + 2);
    expect(body.live).toBe(generation + 2);
    await backend.stop();
  });
});

test('kill -9 while events come in loses none that was acknowledged, and doubles none', async () => {
  const { child, url } = await startProcess();
  const acknowledged: string[] = [];
  const sending = (async () => {
    for (let from = 1_000; ; from += 50) {
      const events = impressions(from, 50);
      await call(url, 'POST /v1/events', { body: { events } });
      acknowledged.push(...events.map(({ id }) => id));
      if (acknowledged.length === 500) child.kill('SIGKILL');
    }
  })();
  const gone = once(child, 'exit'); // the folder is its own until it is known to have ended
  await expect(sending).rejects.toThrow();
  await gone;
  const next = await startProcess();
  expect((await call(next.url, 'GET /readyz', { unsigned: true })).status).toBe(200);
  const events = acknowledged.map((id) => sampleImpression({ id }));
  const { body } = await call<EventBatchResult>(next.url, 'POST /v1/events', { body: { events } });
  expect(body).toEqual({ stored: 0, duplicates: acknowledged.length, rejected: [] });
  next.child.kill('SIGTERM');
  expect(await once(next.child, 'exit')).toEqual([0, null]);
});

test('SIGTERM lets running requests finish', async () => {
  const { child, url } = await startProcess();
  const exited = once(child, 'exit');
  const path = '/v1/events';
  const body = JSON.stringify({ events: impressions(10_000, 100) });
  const signed = await signRequest(
    parseKeyRing(TEST_KEYS),
    { method: 'POST', path, body },
    { nowMs: Date.now(), nonce: 'drained-request' },
  );
  const headers = {
    ...signed,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    expect: '100-continue',
  };
  const running = request(url + path, { method: 'POST', headers });
  const answered = once(running, 'response') as Promise<[IncomingMessage]>;
  running.flushHeaders();
  await once(running, 'continue'); // it has begun, and waits for the body
  running.write(body.slice(0, 1_000));
  child.kill('SIGTERM');
  // Nobody is let in any more, so the signal has arrived.
  while (await call(url, 'GET /healthz', { unsigned: true }).catch(() => undefined));
  running.end(body.slice(1_000));
  const [answer] = await answered;
  expect([answer.statusCode, JSON.parse(Buffer.concat(await answer.toArray()).toString())]).toEqual([
    200,
    { stored: 100, duplicates: 0, rejected: [] },
  ]);
  expect(await exited).toEqual([0, null]);
});

test('waits for running requests as long as it is told to, and for nobody who asks nothing', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout');
  onTestFinished(() => timers.mockRestore());
  const backend = await start(folders, { HARNESS_DRAIN_SECONDS: '3600' });
  const openedAhead = connect(Number(new URL(backend.url).port), '127.0.0.1');
  const ended = once(openedAhead, 'close');
  await once(openedAhead, 'connect');
  expect((await call(backend.url, 'GET /healthz', { unsigned: true })).status).toBe(200); // so the one before is accepted
  await backend.stop();
  await ended;
  expect(timers.mock.calls.map(([, ms]) => ms)).toContainEqual(expect.closeTo(3_600_000, -3));
});

describe('where it cannot start, one line says what to do', () => {
  const refusal = async (change: Record<string, string>) => {
    const started = start(folders, change);
    const message = await started.then(
      async (backend: Backend) => {
        await backend.stop();
        return 'started';
      },
      (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
    );
    expect(message).not.toContain('\n');
    return message;
  };

  test('a second instance on the folder, a taken port', async () => {
    const backend = await start(folders);
    expect(await refusal({})).toMatch(
      /^configuration: .* is in use by process \d+: stop that one first, or set HARNESS_DATA/,
    );
    const other = await makeFolders();
    expect(await refusal({ PORT: new URL(backend.url).port, HARNESS_DATA: other.data })).toMatch(
      /^configuration: Port \d+ is taken on 127.0.0.1: stop the program that has it, or set PORT to another one\.$/,
    );
    expect(await refusal({ HARNESS_DATA: other.data })).toBe('started'); // the refusal left nothing locked
    other.remove();
    await backend.stop();
  });

  test('no bundle, a damaged one, no folder, no database', async () => {
    const HARNESS_GENERATIONS = join(folders.bundle, 'manifest.json', 'generations');
    expect(await refusal({ HARNESS_GENERATIONS })).toBe(
      `configuration: HARNESS_GENERATIONS: expected a folder that can be written, got ${HARNESS_GENERATIONS} (EEXIST).`,
    );
    expect(await refusal({ HARNESS_BUNDLE: folders.data })).toMatch(
      /^configuration: .*manifest\.json: no bundle there/,
    );
    const damaged = await makeFolders();
    const student = join(damaged.bundle, 'student.onnx');
    const bytes = readFileSync(student);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(student, bytes);
    expect(await refusal({ HARNESS_BUNDLE: damaged.bundle })).toMatch(
      /^bundle_damaged: .*student\.onnx: expected SHA-256/,
    );
    damaged.remove();
    const port = await freePort();
    expect(await refusal({ DATABASE_URL: `postgres://user:hush@127.0.0.1:${port}/x` })).toMatch(
      /^configuration: DATABASE_URL: expected a reachable Postgres 15 or newer at 127\.0\.0\.1:\d+\/x, got: .*ECONNREFUSED/,
    );
    expect(await refusal({})).toBe('started');
  });
});

test('on a real Postgres it serves alike', async () => {
  const server = await startPostgresServer();
  const other = await makeFolders();
  const DATABASE_URL = await server.createDatabase();
  let backend = await start(other, { DATABASE_URL });
  await loadTestMarket(backend.url);
  await call(backend.url, 'POST /v1/events', { body: { events: impressions(0, 10) } });
  expect((await call(backend.url, 'GET /readyz', { unsigned: true })).body).toMatchObject({ database: 'postgres' });
  const answer = await found(backend.url, 'couch');
  await backend.stop();
  backend = await start(other, { DATABASE_URL });
  expect(await found(backend.url, 'couch')).toEqual(answer);
  await backend.stop();
  other.remove();
  await server.stop();
});
