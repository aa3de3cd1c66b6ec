/** The local runner: the Worker's own bundle in workerd, with Miniflare's Queue and Cache API, over real sockets. */
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type EventCounts, noEvents } from '../../edge/events.ts';
import { drain, type RunningEdge, startEdge } from '../../scripts/edge-local.ts';
import { AdsResponse } from '../../shared/contract/query-route.ts';
import { freePort } from '../setup/free-port.ts';
import { type Behaviour, TEST_KEYS, type Told } from './stand-in.ts';
import { startStandIn } from './stand-in-server.ts';

let standIn: Awaited<ReturnType<typeof startStandIn>>;
beforeAll(async () => {
  standIn = await startStandIn();
});
afterAll(() => standIn.close());

const room = (name: string) => ({
  url: `${standIn.url}/${name}`,
  behave: (behaviour: Partial<Behaviour>) =>
    fetch(`${standIn.url}/${name}`, { method: 'POST', body: JSON.stringify(behaviour) }),
  told: async () => (await (await fetch(`${standIn.url}/${name}`)).json()) as Told,
});

async function ads(edge: RunningEdge, query: string): Promise<AdsResponse> {
  const response = await fetch(`${edge.url}/v1/ads?q=${query}`);
  expect(response.status).toBe(200);
  return AdsResponse.parse(await response.json());
}

describe('startEdge', () => {
  it('serves, and delivers every event through an outage of the backend before it stops', async () => {
    const backend = room('outage');
    const vars = { BACKEND_DEADLINE_MS: '20000' }; // on a busy machine too the first answer is the backend's
    const edge = await startEdge({ port: await freePort(), backendUrl: backend.url, keys: TEST_KEYS, vars });
    const issued: string[] = [];
    try {
      const first = await ads(edge, 'sofa');
      expect(first.slots).toHaveLength(4);
      expect(first.slots[0]!.clickUrl).toContain(`${edge.url}/v1/click/`);
      const click = await fetch(first.slots[0]!.clickUrl, { redirect: 'manual' });
      expect(click.status).toBe(302);
      issued.push(first.requestId, `${first.requestId}:1`);

      await backend.behave({ events: 'fail', retrieve: 'drop' });
      const answers = await Promise.all(Array.from({ length: 150 }, (_, i) => ads(edge, `q-${i}`)));
      issued.push(...answers.map(({ requestId }) => requestId));
      expect(new Set(answers.map(({ degraded }) => degraded?.rung))).toEqual(new Set(['empty']));
      // Until the consumer has met the outage.
      while ((await backend.told()).batches.length === 0);
      await backend.behave({ events: 'ok', retrieve: 'ok' });
    } finally {
      expect(await edge.stop(60_000)).toEqual({ undelivered: 0 });
    }
    const { batches, unsigned } = await backend.told();
    const delivered = new Set(batches.flat().map(({ id }) => id));
    expect(issued.filter((id) => !delivered.has(id))).toEqual([]);
    expect(delivered.size).toBe(issued.length);
    expect(unsigned).toBe(0);
  });

  it('asks through the entrypoint that Workers Caching stands in front of, where that is on', async () => {
    const backend = room('through');
    const edge = await startEdge({
      port: await freePort(),
      backendUrl: backend.url,
      keys: TEST_KEYS,
      vars: { WORKERS_CACHE: 'on', BACKEND_DEADLINE_MS: '20000' },
    });
    try {
      for (const query of ['sofa', 'lamp']) {
        const answer = await ads(edge, query);
        expect([answer.cache.status, answer.degraded, answer.slots.length]).toEqual(['miss', undefined, 4]);
      }
      expect((await backend.told()).retrieved.map(({ query }) => query)).toEqual(['sofa', 'lamp']);
      // Named entrypoints have no address.
      expect((await fetch(`${edge.url}/1/1/7/plan/us/en/hash`)).status).toBe(404);
    } finally {
      await edge.stop();
    }
  });

  it('keeps a call going for those who wait for it when the one who made it hangs up', async () => {
    const backend = room('hang-up');
    const vars = { BACKEND_DEADLINE_MS: '20000' };
    const edge = await startEdge({ port: await freePort(), backendUrl: backend.url, keys: TEST_KEYS, vars });
    try {
      await backend.behave({ retrieve: 'hold' });
      const impatient = new AbortController();
      const left = fetch(`${edge.url}/v1/ads?q=sofa`, { signal: impatient.signal }).catch((error) => error.name);
      while ((await backend.told()).held === 0);
      const follower = ads(edge, 'sofa');
      // An answer to what was asked after it: the follower is in the Worker, too.
      for (let i = 0; i < 3; i++) await (await fetch(`${edge.url}/healthz`)).text();
      impatient.abort();
      expect(await left).toBe('AbortError');
      await fetch(`${backend.url}/release`, { method: 'POST' });
      expect((await follower).slots).toHaveLength(4);
    } finally {
      await edge.stop();
    }
  });

  it('sends the events of visitors who hang up, and leaves nobody waiting who came with them', async () => {
    const backend = room('hanging-up');
    // However busy the machine is, no event takes another way.
    const vars = { EVENT_DEADLINE_MS: '20000' };
    const edge = await startEdge({ port: await freePort(), backendUrl: backend.url, keys: TEST_KEYS, vars });
    const events = async () => ((await (await fetch(`${edge.url}/healthz`)).json()) as { events: EventCounts }).events;
    try {
      await ads(edge, 'sofa');
      const answered: string[] = [];
      for (let round = 0; round < 20; round++) {
        const impatient = new AbortController();
        const left = Array.from({ length: 4 }, () =>
          fetch(`${edge.url}/v1/ads?q=sofa`, { signal: impatient.signal }).catch(() => undefined),
        );
        const staying = Promise.all(Array.from({ length: 4 }, () => ads(edge, 'sofa')));
        // With its first answer the others of a round are in the Worker, or about to be.
        await Promise.race([...left, staying]);
        impatient.abort();
        answered.push(...(await staying).map(({ requestId }) => requestId));
        await Promise.all(left);
      }
      await vi.waitUntil(async () => (await events()).queued === (await events()).issued, { timeout: 60_000 });
      const { issued } = await events();
      expect(issued).toBeGreaterThan(answered.length);
      await edge.stop(60_000);
      const delivered = new Set((await backend.told()).batches.flat().map(({ id }) => id));
      expect(answered.filter((id) => !delivered.has(id))).toEqual([]);
      expect(delivered.size).toBe(issued);
    } finally {
      await edge.stop();
    }
  });

  it('says which port is taken and what to do', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await expect(startEdge({ port, backendUrl: standIn.url, keys: TEST_KEYS })).rejects.toThrow(
      new RegExp(`^Port ${port} .* is taken by another program: .*--port\\.$`),
    );
    await new Promise((resolve) => server.close(resolve));
  });

  it('names a wrong setting and leaves nothing behind', async () => {
    const port = await freePort();
    const wrong = startEdge({ port, backendUrl: 'backend.example', keys: TEST_KEYS });
    await expect(wrong).rejects.toThrow(/^The edge cannot start: BACKEND_URL: /);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    await new Promise((resolve) => server.close(resolve));
  });

  it('gives what is no proper HTTP a 4xx at most, and lives on', async () => {
    const port = await freePort();
    const edge = await startEdge({ port, backendUrl: `${standIn.url}/raw`, keys: TEST_KEYS });
    const json = 'content-type: application/json';
    const ads = 'GET /v1/ads?q=sofa HTTP/1.1';
    const post = 'POST /v1/conversions HTTP/1.1';
    try {
      for (const raw of [
        'GET /v1/ads?q=\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n',
        'GET /v1/ads?q=\0 HTTP/1.1\r\nhost: a\r\n\r\n',
        `GET /v1/ads?q=${'a'.repeat(100_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
        `${ads}\r\n\r\n`,
        `${ads}\r\nhost: exa mple<>\r\n\r\n`,
        `${ads}\r\nhost: [::\r\n\r\n`,
        `${ads}\r\nhost: a\r\ncookie: \xff=\xfe; __Host-harness-unit=\xe9\r\nuser-agent: \xff\r\n\r\n`,
        `${ads}\r\nhost: a\r\ncookie: ${'x'.repeat(50_000)}\r\n\r\n`,
        'GET http://elsewhere.example/v1/ads?q=sofa HTTP/1.1\r\nhost: a\r\n\r\n',
        'OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n',
        'POST /v1/reconcile HTTP/1.1\r\nhost: [::\r\n\r\n',
        `${post}\r\nhost: a\r\n${json}\r\ncontent-length: 10\r\n\r\n{}`,
        `${post}\r\nhost: a\r\n${json}\r\ncontent-length: 2\r\n\r\n\xff\xfe`,
        `${post}\r\nhost: a\r\n${json}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
        `${post}\r\nhost: a\r\n${json}\r\ntransfer-encoding: chunked\r\n\r\n2000\r\n${'x'.repeat(8_192)}\r\n0\r\n\r\n`,
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      ]) {
        const status = await statusOf(port, raw);
        expect(status === undefined || status < 500, `${status} for ${raw.slice(0, 80)}`).toBe(true);
      }
      expect((await fetch(`${edge.url}/v1/ads?q=sofa`)).status).toBe(200);
    } finally {
      await edge.stop();
    }
  });
});

describe('drain', () => {
  type Answer = (response: ServerResponse) => void;
  const counts =
    (events: Partial<EventCounts>): Answer =>
    (response) =>
      response.end(JSON.stringify({ events: { ...noEvents(), ...events } }));
  const hangsUp: Answer = (response) => response.destroy();
  const fails: Answer = (response) => response.writeHead(500).end('{}');

  /** Of an edge whose answers are these, the last one for ever. */
  async function drained(answers: readonly Answer[], drainMs: number) {
    let asked = 0;
    const server = createHttpServer((_, response) => answers[Math.min(asked++, answers.length - 1)]!(response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const lines: string[] = [];
    const { port } = server.address() as AddressInfo;
    const left = await drain(`http://127.0.0.1:${port}`, { drainMs, onLine: (line) => lines.push(line) });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    return { left, asked, lines };
  }

  it('asks again when it gets no answer, says so once, and ends when the edge says that nothing is left', async () => {
    const { left, asked, lines } = await drained(
      [hangsUp, fails, counts({ issued: 2, queued: 2 }), hangsUp, counts({})],
      60_000,
    );
    expect([left, asked]).toEqual([0, 5]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^The edge does not say what it still has to deliver, /);
  });

  it('takes no silence for an end: what was left last is left, and one event at least when that was never said', async () => {
    expect((await drained([counts({ issued: 3, queued: 3 }), hangsUp], 3_000)).left).toBe(3);
    expect((await drained([hangsUp], 0)).left).toBe(1);
  });

  it.each([
    ['is in the air', { issued: 1 }, 1],
    ['is queued', { issued: 1, queued: 1 }, 1],
    ['was taken twice and delivered once', { issued: 1, outboxed: 1, late: 1, delivered: 1 }, 1],
    ['was taken twice and delivered twice', { issued: 1, outboxed: 1, late: 1, delivered: 2 }, 0],
    ['was stored directly', { issued: 1, direct: 1 }, 0],
    ['was refused', { issued: 1, queued: 1, rejected: 1 }, 0],
    ['is lost', { issued: 1, failed: 1 }, 0],
  ])('waits for an event or not when it %s', async (_, events, left) => {
    // Where it waits, not for long; where it does not, for an answer however late.
    expect((await drained([counts(events)], left === 0 ? 60_000 : 0)).left).toBe(left);
  });
});

/** Sends bytes as they are, closes its side, and reads the status of the first answer; `undefined` when there is none. */
function statusOf(port: number, raw: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
      if (answer.includes('\r\n')) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () =>
      resolve(/^HTTP\/1\.\d (\d{3})/.exec(answer)?.[1] === undefined ? undefined : Number(answer.slice(9, 12))),
    );
    socket.end(raw, 'latin1');
  });
}
