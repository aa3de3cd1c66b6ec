/**
 * A stand-in for the GPU backend, over real HTTP: it checks signatures like the real one, and a test may make it slow,
 * broken or silent. One server serves many tests: each takes a name of its own, which is the first segment of its URLs.
 * `GET /student-files/FILE` is a bundle for a Worker that encodes queries itself. `POST /NAME` sets behaviour, `GET /NAME` tells what was called, `POST /NAME/release` lets held calls go on.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { parseKeyRing, SIGNATURE_HEADERS, verifyRequest } from '../../shared/signature.ts';
import { type Behaviour, CANDIDATES, TEST_KEYS, type Told } from './stand-in.ts';

const initial = (): Behaviour => ({
  retrieve: 'ok',
  config: { ...DEFAULT_CONFIG, version: 3, generation: 7 },
  killList: { version: 3, generation: 7, adIds: [] },
  head: { generation: 7, atMs: 0, ads: [] },
  events: 'ok',
  reject: [],
  news: { configVersion: 3, generation: 7 },
  candidates: CANDIDATES,
});

const STUDENT_BUNDLE = fileURLToPath(new URL('../fixtures/student-bundle.ts', import.meta.url));

interface Room {
  behaviour: Behaviour;
  told: Told;
  waiting: (() => void)[];
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Starts it on a free port of this machine. */
export async function startStandIn(): Promise<{ url: string; close(): Promise<void> }> {
  const rooms = new Map<string, Room>();
  const dir = mkdtempSync(join(tmpdir(), 'harness-stand-in-'));
  // Made for the first who asks.
  let bundle: Promise<unknown> | undefined;
  const ring = parseKeyRing(TEST_KEYS);

  const roomOf = (name: string): Room => {
    let room = rooms.get(name);
    if (room === undefined) {
      room = {
        behaviour: initial(),
        told: {
          retrieved: [],
          configCalls: 0,
          killListCalls: 0,
          stored: [],
          lost: [],
          batches: [],
          unsigned: 0,
          held: 0,
          left: 0,
        },
        waiting: [],
      };
      rooms.set(name, room);
    }
    return room;
  };

  async function backend(room: Room, path: string, body: string, response: ServerResponse): Promise<void> {
    const { behaviour, told } = room;
    const send = (status: number, value: unknown, type = 'application/json') => {
      const headers: Record<string, string> = { 'content-type': type };
      // Read again: a held call answers with the news of the moment it is let go.
      const { configVersion, generation } = room.behaviour.news;
      if (configVersion !== null) headers['harness-config-version'] = String(configVersion);
      if (generation !== null) headers['harness-generation'] = String(generation);
      response.writeHead(status, headers).end(typeof value === 'string' ? value : JSON.stringify(value));
    };
    if (path === '/v1/config') {
      told.configCalls += 1;
      if (behaviour.config === 'fail') send(503, 'away', 'text/plain');
      else if (behaviour.config !== 'hang') send(200, behaviour.config);
    } else if (path === '/v1/kill-list') {
      told.killListCalls += 1;
      if (behaviour.killList === 'fail') send(503, 'away', 'text/plain');
      else if (behaviour.killList !== 'hang') send(200, behaviour.killList);
    } else if (path === '/v1/retrieve') {
      const asked: Told['retrieved'][number] = JSON.parse(body);
      told.retrieved.push(asked);
      response.on('close', () => {
        if (!response.writableFinished && behaviour.retrieve !== 'drop') told.left += 1;
      });
      const { retrieve } = behaviour;
      if (retrieve === 'hold-once') behaviour.retrieve = 'ok';
      if (retrieve === 'hold' || retrieve === 'hold-once') {
        told.held += 1;
        await new Promise<void>((resolve) => room.waiting.push(resolve));
        told.held -= 1;
      }
      if (behaviour.retrieve === 'hang') return;
      if (behaviour.retrieve === 'drop') response.destroy();
      else if (behaviour.retrieve === 'garbage') send(200, { candidates: 'none' });
      else if (behaviour.retrieve === 'page') send(502, '<h1>Bad gateway</h1>', 'text/html');
      else if (behaviour.retrieve === 'refuse') {
        send(
          429,
          { type: 'x', title: 'x', status: 429, code: 'too_many_requests', detail: 'Too many.' },
          'application/problem+json',
        );
      } else if (asked.vector !== undefined && asked.vector.studentSha256 !== behaviour.student) {
        const detail = `vector: expected one of student ${behaviour.student}, got one of ${asked.vector.studentSha256}`;
        send(409, { type: 'x', title: 'x', status: 409, code: 'model_mismatch', detail }, 'application/problem+json');
      } else {
        send(200, {
          generation: room.behaviour.news.generation ?? 1,
          model: 'test-model',
          spaceId: '0123456789abcdef',
          candidates: room.behaviour.candidates,
          timings: { totalMs: 3, encodeMs: 2, searchMs: 1 },
        });
      }
    } else if (path === '/v1/head-ads') {
      send(200, behaviour.head);
    } else if (path === '/v1/events') {
      const { events } = JSON.parse(body) as { events: Told['batches'][number] };
      told.batches.push(events);
      if (behaviour.events === 'hang') return;
      if (behaviour.events === 'fail') return send(503, 'away', 'text/plain');
      const rejected = events.flatMap(({ id }, index) =>
        behaviour.reject.includes(id) ? [{ index, reason: 'refused by the test' }] : [],
      );
      const accepted = events.map(({ id }) => id).filter((id) => !behaviour.reject.includes(id));
      const fresh = new Set(accepted.filter((id) => !told.stored.includes(id)));
      told.stored.push(...fresh);
      if (behaviour.events === 'cut') response.destroy();
      else send(200, { stored: fresh.size, duplicates: accepted.length - fresh.size, rejected });
    } else if (path === '/v1/events:reconcile') {
      if (behaviour.events === 'fail') return send(503, 'away', 'text/plain');
      const { ids } = JSON.parse(body) as { ids: string[] };
      send(200, { missing: ids.filter((id) => !told.stored.includes(id)) });
    } else if (path === '/v1/events:missing') {
      const { exposures } = JSON.parse(body) as {
        exposures: { impressionId: string; experiment: string; arm: string }[];
      };
      told.lost.push(...exposures.map(({ impressionId, experiment, arm }) => `${impressionId} ${experiment}/${arm}`));
      send(200, { noted: exposures.length });
    } else send(404, {});
  }

  const server = createServer(async (request, response) => {
    const body = await bodyOf(request);
    const url = request.url ?? '/';
    const [, name = '', ...rest] = url.split('/');
    if (name === 'student-files') {
      bundle ??= promisify(execFile)(process.execPath, [STUDENT_BUNDLE, dir]);
      await bundle;
      const file = await readFile(join(dir, rest[0]!)).catch(() => undefined);
      response.writeHead(file === undefined ? 404 : 200).end(file);
      return;
    }
    const room = roomOf(name);
    if (rest.length === 0) {
      if (request.method === 'POST') Object.assign(room.behaviour, JSON.parse(body));
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(room.told));
      return;
    }
    if (rest[0] === 'release') {
      for (const go of room.waiting.splice(0)) go();
      response.writeHead(200).end();
      return;
    }
    const headers = { get: (key: string) => request.headers[key] as string | undefined };
    try {
      // By the caller's own clock: tests set it forward, and the skew allowed is the backend's to check.
      const nowMs = Number(headers.get(SIGNATURE_HEADERS.timestamp));
      await verifyRequest(ring, { method: request.method ?? '', path: url, body }, headers, nowMs);
    } catch {
      room.told.unsigned += 1;
      response.writeHead(401).end();
      return;
    }
    await backend(room, `/${rest.join('/').split('?')[0]}`, body, response);
  });
  // It never closes an idle connection: the Worker may be about to use it again, and would meet a broken one.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        rmSync(dir, { recursive: true, force: true });
        server.close(() => resolve());
      }),
  };
}
