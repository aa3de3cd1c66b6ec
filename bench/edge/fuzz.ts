/**
 * Nonsense at speed: requests of which no two are alike, from another process, and what they leave behind in the
 * Worker.
 */
import { fork } from 'node:child_process';
import { Agent } from 'node:http';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { serveEdge } from '../../scripts/edge-serve.ts';
import { headers, queryPiece } from '../../test/edge/fuzz.ts';
import { freePort } from '../../test/setup/free-port.ts';
import { bounded, type Row } from '../row.ts';
import { exchange, type LoadRequest } from './load.ts';
import { residentMb } from './workerd.ts';

export interface FuzzOptions {
  dir: string;
  backendUrl: string;
  keys: string;
  requests: number;
}

interface Progress {
  share: number;
  statuses: Record<string, number>;
}

const CONNECTIONS = 32;
/** Looks at the memory: it rises until the next full collection, so a few would find a peak in one half and miss it in the other. */
const STEPS = 100;
/** Made at once; more would only take memory. */
const BATCH = 2_000;

/** What the HTTP client decides by itself; sent otherwise these would break the connection, not the Worker. */
const OF_THE_CONNECTION =
  /^(connection|content-length|expect|host|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/;

const text = fc.array(queryPiece, { maxLength: 8 }).map((pieces) => pieces.join(''));
const path = fc.oneof(
  { weight: 6, arbitrary: text.map((query) => `/v1/ads?q=${query}`) },
  { weight: 2, arbitrary: text.map((token) => `/v1/click/${token}`) },
  { weight: 1, arbitrary: text.map((any) => `/${any}`) },
  { weight: 1, arbitrary: fc.constantFrom('/v1/conversions', '/v1/reconcile', '/healthz', '/openapi.json', '/') },
);
const request = fc
  .record({
    path,
    method: fc.oneof(
      { weight: 8, arbitrary: fc.constant('GET') },
      { weight: 3, arbitrary: fc.constantFrom('POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS') },
    ),
    headers,
    body: fc.oneof(text, fc.json()),
  })
  .map(
    (asked): LoadRequest => ({
      // A client sends no raw white space or bytes beyond ASCII in a request line.
      path: asked.path.replaceAll(/[^!-~]/g, (char) => encodeURIComponent(char.toWellFormed())),
      method: asked.method,
      headers: Object.fromEntries(asked.headers.filter(([name]) => !OF_THE_CONNECTION.test(name))),
      ...(asked.method === 'GET' || asked.method === 'HEAD' ? {} : { body: asked.body }),
    }),
  );

export async function fuzzRows({ dir, backendUrl, keys, requests }: FuzzOptions): Promise<Row[]> {
  const port = await freePort();
  const edge = await serveEdge({
    host: '127.0.0.1',
    port,
    backendUrl,
    keys,
    dataDir: dir,
    queueModule: fileURLToPath(new URL('./queue-elsewhere.worker.ts', import.meta.url)),
    // Small, so that it is full early: growth after that would be a leak.
    vars: { CACHE_MEMORY_MB: '8' },
    onLine: () => undefined,
  });
  let crashed = false;
  void edge.ended.then(() => {
    crashed = true;
  });
  try {
    const resident: number[] = [];
    const statuses = await sendAll({ url: edge.url, requests }, () => resident.push(residentMb(edge.pid)));
    const refused = Object.entries(statuses).filter(([status]) => status.startsWith('5'));
    const healthy = (await fetch(`${edge.url}/healthz`).catch(() => undefined))?.ok === true;
    const half = resident.length / 2;
    const [before, after] = [Math.max(...resident.slice(0, half)), Math.max(...resident.slice(half))];
    const said = `${requests} fuzzed requests`;
    return [
      bounded(
        `${said}: answers of 5xx`,
        refused.reduce((sum, [, count]) => sum + count, 0),
        'answers',
        ['<=', 0],
      ),
      bounded(`${said}: connections broken`, statuses[0] ?? 0, 'connections', ['<=', 0]),
      bounded(`${said}: crashes`, crashed || !healthy ? 1 : 0, 'crashes', ['<=', 0]),
      bounded(`${said}: memory at its highest in the second half, of the first`, after / before, 'times', ['<=', 1.1]),
      { metric: 'resident memory of workerd after them', value: resident.at(-1)!, unit: 'MB' },
    ];
  } finally {
    await edge.stop();
  }
}

function sendAll(job: { url: string; requests: number }, onStep: () => void): Promise<Record<string, number>> {
  const child = fork(import.meta.filename, { execArgv: ['--disable-warning=ExperimentalWarning'] });
  return new Promise((resolve, reject) => {
    child.on('message', ({ share, statuses }: Progress) => {
      onStep();
      if (share === 1) resolve(statuses);
    });
    child.once('exit', (code) => reject(new Error(`the fuzzing ended with ${code} before it was done`)));
    child.send(job);
  });
}

async function work({ url, requests }: { url: string; requests: number }): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const statuses: Record<string, number> = {};
  let done = 0;
  for (let seed = 0; done < requests; seed++) {
    const batch = fc.sample(request, { numRuns: Math.min(BATCH, requests - done), seed });
    let next = 0;
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        while (next < batch.length) {
          const asked = batch[next++]!;
          const { status, body } = await exchange(url, agent, asked);
          if (status >= 500) console.error(`${status} for ${JSON.stringify(asked)}: ${body.slice(0, 300)}`);
          statuses[status] = (statuses[status] ?? 0) + 1;
          done += 1;
          if (done % Math.ceil(requests / STEPS) === 0 || done === requests)
            process.send!({ share: done / requests, statuses } satisfies Progress);
        }
      }),
    );
  }
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', async (job: { url: string; requests: number }) => {
    await work(job);
    process.exit(0);
  });
  process.once('disconnect', () => process.exit(1));
}
