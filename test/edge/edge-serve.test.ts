/** The Worker under plain `workerd serve`: it serves, and what it promised to deliver outlives the process. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { lockDataFolder } from '../../gpu-backend/db/data-folder.ts';
import { serveEdge } from '../../scripts/edge-serve.ts';
import { AdsResponse } from '../../shared/contract/query-route.ts';
import { freePort } from '../setup/free-port.ts';
import { hasIpv6 } from '../setup/ipv6.ts';
import { type Behaviour, TEST_KEYS, type Told } from './stand-in.ts';
import { startStandIn } from './stand-in-server.ts';

let standIn: Awaited<ReturnType<typeof startStandIn>>;
let dataDir: string;
beforeAll(async () => {
  standIn = await startStandIn();
  dataDir = await mkdtemp(join(tmpdir(), 'harness-serve-'));
});
afterAll(async () => {
  await standIn.close();
  await rm(dataDir, { recursive: true, force: true });
});

it('answers, follows clicks, and delivers after a restart what a backend that was away did not take', async () => {
  const backendUrl = `${standIn.url}/serve`;
  const behave = (behaviour: Partial<Behaviour>) =>
    fetch(backendUrl, { method: 'POST', body: JSON.stringify(behaviour) });
  const told = async () => (await (await fetch(backendUrl)).json()) as Told;
  const lines: string[] = [];
  const start = async (vars: Record<string, string> = {}) =>
    serveEdge({
      host: '127.0.0.1',
      port: await freePort(),
      backendUrl,
      keys: TEST_KEYS,
      dataDir,
      // What is looked at is what answers say, not how long they take on a busy machine.
      vars: { BACKEND_DEADLINE_MS: '20000', ...vars },
      onLine: (line) => lines.push(line),
    });
  const ads = async (url: string, query: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}/v1/ads?q=${query}`, { headers });
    expect(response.status).toBe(200);
    return AdsResponse.parse(await response.json());
  };

  await behave({ events: 'fail' });
  const issued: string[] = [];
  // No queue answers within a microsecond: every event is taken by the queue, late, and by the outbox.
  const first = await start({ EVENT_DEADLINE_MS: '0.001' });
  try {
    const answer = await ads(first.url, 'sofa');
    expect(answer.slots).toHaveLength(4);
    expect((await fetch(answer.slots[0]!.clickUrl, { redirect: 'manual' })).status).toBe(302);
    issued.push(answer.requestId, `${answer.requestId}:1`);
    expect(answer.slots[0]!.clickUrl).toMatch(new RegExp(`^${first.url}/v1/click/`));
    // Where a proxy has ended TLS, a click goes there, whatever proxies behind that one have appended.
    for (const proto of ['https', 'https, http', 'HTTPS,http,http']) {
      const proxied = await ads(first.url, 'sofa', { 'x-forwarded-proto': proto });
      expect(proxied.slots[0]!.clickUrl).toMatch(new RegExp(`^${first.url.replace('http:', 'https:')}/v1/click/`));
      issued.push(proxied.requestId);
    }
    for (const proto of ['ftp', 'javascript', ', https']) {
      const { status } = await fetch(`${first.url}/v1/ads?q=sofa`, { headers: { 'x-forwarded-proto': proto } });
      expect(status).toBe(400);
    }
    const reconciliation = { method: 'POST', headers: { 'x-forwarded-proto': 'https, http' } };
    expect((await fetch(`${first.url}/v1/reconcile`, reconciliation)).status).toBe(401);
    // Together, so that events share calls to the queue.
    const together = await Promise.all(Array.from({ length: 30 }, (_, i) => ads(first.url, `sofa+bed+münchen+${i}`)));
    issued.push(...together.map(({ requestId }) => requestId));
    // More than the 600 a minute of wrangler.toml; nothing that is refused, or that asks for no ads, issues an event.
    const from = { 'cf-connecting-ip': '203.0.113.9' };
    const statuses = new Set<number>();
    for (let i = 0; i < 1_201 && !statuses.has(429); i++) {
      const response = await fetch(`${first.url}/v1/ads?q=`, { headers: from });
      await response.arrayBuffer();
      statuses.add(response.status);
    }
    expect([...statuses]).toEqual([400, 429]);
    const another = await fetch(`${first.url}/v1/ads?q=`, { headers: { 'cf-connecting-ip': '203.0.113.10' } });
    expect(another.status).toBe(400);
    const { events } = (await (await fetch(`${first.url}/healthz`)).json()) as { events: Record<string, number> };
    expect(events).toMatchObject({ issued: 35, delivered: 0, failed: 0 });
    // No data centre is asked for what it cannot have.
    expect(await readFile(join(dataDir, 'config.capnp'), 'utf8')).toContain('(name = "CACHE_API", text = "off")');
  } finally {
    process.kill(first.pid, 'SIGKILL');
    await first.stop();
  }
  expect((await told()).stored).toEqual([]);

  await behave({ events: 'ok' });
  const second = await start();
  try {
    // The outbox wakes by itself; the queues go on where they were.
    await vi.waitFor(async () => expect((await told()).stored.sort()).toEqual(issued.sort()), {
      timeout: 200_000,
      interval: 250,
    });
  } finally {
    await second.stop();
  }
  expect((await told()).unsigned).toBe(0);
}, 300_000);

it.skipIf(!hasIpv6)('listens on an IPv6 address, and refuses one that no URL can have', async () => {
  const port = await freePort();
  const options = { port, backendUrl: `${standIn.url}/ipv6`, keys: TEST_KEYS, dataDir, onLine: () => undefined };
  const edge = await serveEdge({ ...options, host: '::1' });
  try {
    expect(edge.url).toBe(`http://[::1]:${port}`);
    const { slots } = AdsResponse.parse(await (await fetch(`${edge.url}/v1/ads?q=sofa`)).json());
    expect(slots[0]!.clickUrl).toMatch(`${edge.url}/v1/click/`);
  } finally {
    await edge.stop();
  }
  await expect(serveEdge({ ...options, host: '::1%lo' })).rejects.toThrow('--host: expected an address that a URL');
});

it('has issued and stored ids compared every minute, as Cloudflare does by the schedule', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const called = vi.spyOn(globalThis, 'fetch');
  const port = await freePort();
  const options = { host: '127.0.0.1', port, backendUrl: `${standIn.url}/schedule`, keys: TEST_KEYS, dataDir };
  const asked = () => called.mock.results.filter((_, i) => String(called.mock.calls[i]![0]).endsWith('/v1/reconcile'));
  try {
    const edge = await serveEdge({ ...options, onLine: () => undefined });
    try {
      vi.advanceTimersByTime(59_999);
      expect(asked()).toEqual([]);
      vi.advanceTimersByTime(1);
      await vi.waitFor(() => expect(asked()).toHaveLength(1));
      expect((await asked()[0]!.value).status).toBe(200);
    } finally {
      await edge.stop();
    }
    vi.advanceTimersByTime(60_000);
    expect(asked()).toHaveLength(1);
  } finally {
    vi.restoreAllMocks();
    vi.useRealTimers();
  }
});

it('says which port is taken, and who has the folder, and starts nothing', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const options = { host: '127.0.0.1', backendUrl: standIn.url, keys: TEST_KEYS, dataDir, onLine: () => undefined };
  await expect(serveEdge({ ...options, port })).rejects.toThrow(`Port ${port} of 127.0.0.1 is taken`);
  await new Promise((resolve) => server.close(resolve));
  await expect(serveEdge({ ...options, port, keys: '0123456789abcdef' })).rejects.toThrow('expected id:secret');
  const folder = lockDataFolder(dataDir);
  await expect(serveEdge({ ...options, port })).rejects.toThrow(`is in use by process ${process.pid}`);
  folder.release();
});

it('ends when it is told to, though a client never ends its request', async () => {
  const port = await freePort();
  const options = { host: '127.0.0.1', port, backendUrl: standIn.url, keys: TEST_KEYS, dataDir };
  const edge = await serveEdge({ ...options, onLine: () => undefined });
  const client = connect(port, '127.0.0.1');
  const closed = new Promise((resolve) => client.once('close', resolve));
  const head = ['POST /v1/conversions HTTP/1.1', 'host: edge', 'content-type: application/json', 'content-length: 9'];
  await new Promise((resolve) => client.write(`${head.join('\r\n')}\r\n\r\n{`, resolve));
  await fetch(`${edge.url}/healthz`); // by now the other request has begun, too
  await Promise.all([edge.stop(), edge.stop()]);
  await closed;
}, 100_000);

it('ends with a failure when workerd dies, and with none when it is told to end', async () => {
  const port = await freePort();
  const run = async (end: (program: ChildProcess) => void) => {
    const args = ['scripts/edge-serve.ts', '--port', String(port), '--backend', standIn.url, '--data', dataDir];
    const program = spawn(process.execPath, args, {
      env: { ...process.env, HARNESS_KEYS: TEST_KEYS },
      timeout: 100_000,
    });
    let said = '';
    program.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (!said.includes('The edge answers') && (said + text).includes('The edge answers')) end(program);
      said += text;
    });
    const code = await new Promise((resolve) => program.once('close', resolve));
    return { code, last: said.trim().split('\n').at(-1) };
  };
  const crashed = await run(({ pid }) => {
    const children = execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', String(pid)], { encoding: 'utf8' });
    process.kill(Number(/(\d+) workerd/.exec(children)![1]), 'SIGKILL');
  });
  expect(crashed).toEqual({ code: 1, last: 'workerd ended (SIGKILL), and nobody had asked it to.' });
  const told = await run((program) => program.kill('SIGTERM'));
  expect(told).toEqual({ code: 0, last: `The edge answers at http://127.0.0.1:${port}.` });
}, 120_000);

it('says which setting is wrong', async () => {
  await expect(
    serveEdge({
      host: '127.0.0.1',
      port: await freePort(),
      backendUrl: 'backend.example',
      keys: TEST_KEYS,
      dataDir,
      onLine: () => undefined,
    }),
  ).rejects.toThrow(/^The edge cannot start: BACKEND_URL: /);
});
