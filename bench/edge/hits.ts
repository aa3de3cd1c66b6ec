/**
 * What a memory hit costs beside a bare Hono route: both served by workerd on this machine, loaded in turn by the same
 * process, so that whatever else the machine does falls on both. A hit is the whole request: visitor, arms, cache,
 * kill list, auction, four signed click links, and the impression taken by the queue before the answer leaves. Before
 * anything is measured every list has been asked for once, and every visitor has been here: a miss is the backend's cost.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pMap from 'p-map';
import { median } from 'simple-statistics';
import { serveEdge } from '../../scripts/edge-serve.ts';
import { HarnessError } from '../../shared/problem.ts';
import { parseKeyRing, signToken } from '../../shared/signature.ts';
import { freePort } from '../../test/setup/free-port.ts';
import { bounded, type Row } from '../row.ts';
import { latencyRows, steadyTurns, watched } from '../standstill.ts';
import { applyLoad, type LoadRequest, type LoadResult } from './load.ts';
import { cpuMicros, serveWorker } from './workerd.ts';

export interface HitOptions {
  dir: string;
  backendUrl: string;
  keys: string;
  turns: number;
  /** Of a turn. */
  seconds: number;
  /** Of the open load, how often and how long. */
  openTurns: number;
  openSeconds: number;
  say: (line: string) => void;
}

const CONNECTIONS = 32;
const VISITORS = 2_000;
const QUERIES = 200;
const beside = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Visitors with their cookies, and what they search for. */
async function hitRequests(keys: string): Promise<LoadRequest[]> {
  const ring = parseKeyRing(keys);
  const visitor = async (i: number) => {
    const cookie = `__Host-harness-unit=${await signToken(ring, 'unit', crypto.randomUUID())}`;
    return { path: `/v1/ads?q=running+shoes+${i % QUERIES}`, headers: { cookie } };
  };
  return Promise.all(Array.from({ length: VISITORS }, (_, i) => visitor(i)));
}

/**
 * Every request once. The connections of a closed load all begin at the first request, so a turn that warms up by itself
 * reaches only the first of them, and the lists of the others would be missed by all connections together while measured.
 */
async function fill(url: string, requests: readonly LoadRequest[]): Promise<void> {
  const ask = async ({ path, headers }: LoadRequest) => {
    const response = await fetch(url + path, headers === undefined ? {} : { headers });
    await response.arrayBuffer();
  };
  await pMap(requests, ask, { concurrency: 16 });
}

/** Anything but 200 makes the numbers meaningless. */
function requireOk(what: string, { statuses }: LoadResult): void {
  if (Object.keys(statuses).some((status) => status !== '200'))
    throw new HarnessError('internal', `${what}: expected answers of 200 only, got ${JSON.stringify(statuses)}`);
}

/** Of the answers between two looks at `/healthz`, the percentage that came from memory. */
async function fromMemory(url: string, work: () => Promise<void>): Promise<number> {
  const answers = async () => {
    const health = (await (await fetch(`${url}/healthz`)).json()) as { cache: { answers: Record<string, number> } };
    return health.cache.answers;
  };
  const before = await answers();
  await work();
  const after = await answers();
  const grown = Object.keys(after).map((status) => [status, after[status]! - before[status]!] as const);
  const all = grown.reduce((sum, [, count]) => sum + count, 0);
  return (100 * grown.find(([status]) => status === 'memory')![1]) / all;
}

/** Numbers of one variant of the queue; rows with a target for the one that production has. */
export async function hitRows(options: HitOptions): Promise<Row[]> {
  const { dir, backendUrl, keys, turns, seconds, say } = options;
  const serve = (name: string, port: number, queueModule?: string) =>
    serveEdge({
      host: '127.0.0.1',
      port,
      backendUrl,
      keys,
      dataDir: join(dir, name),
      vars: { CACHE_SOFT_SECONDS: '3600' },
      ...(queueModule === undefined ? {} : { queueModule }),
      onLine: say,
    });
  const bare = await serveWorker(beside('./bare.worker.ts'), { port: await freePort(), dir: join(dir, 'bare') });
  const queue = beside('./queue-elsewhere.worker.ts');
  const waiting = await serveWorker(beside('./waiting.worker.ts'), {
    port: await freePort(),
    dir: join(dir, 'waiting'),
    queue,
  });
  const edge = await serve('edge', await freePort(), queue);
  const disk = await serve('disk', await freePort());
  try {
    const requests = await hitRequests(keys);
    const runs = { bare: [] as Turn[], waiting: [] as Turn[], edge: [] as Turn[], disk: [] as Turn[] };
    const turn = async (name: keyof typeof runs, length = seconds): Promise<Turn> => {
      const { url, pid } = { bare, waiting, edge, disk }[name];
      const before = cpuMicros(pid);
      const result = await applyLoad({
        kind: 'closed',
        url,
        connections: CONNECTIONS,
        seconds: length,
        requests: name === 'bare' || name === 'waiting' ? [{ path: '/' }] : requests,
      });
      requireOk(name, result);
      return { rate: result.answers / result.seconds, cpu: (cpuMicros(pid) - before) / result.answers };
    };
    const names = Object.keys(runs) as (keyof typeof runs)[];
    for (const { url } of [edge, disk]) await fill(url, requests);
    for (const name of names) await turn(name, 2);
    const memory = await fromMemory(edge.url, async () => {
      for (let i = 0; i < turns; i++) {
        for (const name of i % 2 === 0 ? names : names.toReversed()) runs[name].push(await turn(name));
        const said = names.map((name) => `${name} ${Math.round(runs[name].at(-1)!.rate)}/s`).join(', ');
        say(`turn ${i + 1} of ${turns}: ${said}`);
      }
    });
    const share = (name: Exclude<keyof typeof runs, 'bare'>) =>
      100 * median(runs[name].map(({ rate }, i) => rate / runs.bare[i]!.rate));
    const over = (name: Exclude<keyof typeof runs, 'bare'>) =>
      median(runs[name].map(({ cpu }, i) => cpu - runs.bare[i]!.cpu));
    const saturation = median(runs.edge.map(({ rate }) => rate));

    // What the disk's queue still delivers would be charged to the open load.
    await disk.stop();
    const open = await openRows({ edge: edge.url, bare: bare.url }, requests, { ...options, rate: saturation / 2 });
    return [
      { metric: 'bare Hono text route', value: median(runs.bare.map(({ rate }) => rate)), unit: 'requests/s' },
      { metric: 'memory hit', value: saturation, unit: 'requests/s' },
      bounded('memory hit, of the bare route', share('edge'), '%', ['>=', 60]),
      {
        metric: 'a route that waits for the queue and does nothing else, of the bare route',
        value: share('waiting'),
        unit: '%',
      },
      { metric: 'its CPU over the bare route', value: over('waiting'), unit: 'us' },
      bounded('answers from memory while measured', memory, '%', ['>=', 99]),
      bounded('CPU of a memory hit over the bare route', over('edge'), 'us', ['<=', 100]),
      { metric: 'CPU of a bare request', value: median(runs.bare.map(({ cpu }) => cpu)), unit: 'us' },
      ...open,
      { metric: 'memory hit, queue and delivery on the same core, of the bare route', value: share('disk'), unit: '%' },
      { metric: 'CPU of that over the bare route, delivery included', value: over('disk'), unit: 'us' },
    ];
  } finally {
    await Promise.all([bare.stop(), waiting.stop(), edge.stop(), disk.stop()]);
  }
}

/**
 * Latencies at a rate well below saturation. The bare route is asked at the same rate in turn, and the load says how late it
 * was itself: together they tell the Worker's share from what workerd and the load take of two cores.
 */
async function openRows(
  urls: Record<'edge' | 'bare', string>,
  requests: LoadRequest[],
  { openTurns, openSeconds, rate, say }: HitOptions & { rate: number },
): Promise<Row[]> {
  const ask = async (name: 'edge' | 'bare') => {
    const load = { kind: 'open', url: urls[name], connections: 256, rate, seconds: openSeconds } as const;
    const result = await applyLoad({ ...load, requests: name === 'bare' ? [{ path: '/' }] : requests });
    requireOk(`open load, ${name}`, result);
    say(`open load of ${Math.round(rate)}/s, ${name}: p99 ${result.p99.toFixed(1)} ms`);
    return result;
  };
  const turns = await steadyTurns(openTurns, async () => {
    const { result, stoodMs } = await watched(async () => ({ edge: await ask('edge'), bare: await ask('bare') }));
    say(`the machine stood still for ${stoodMs.toFixed(1)} ms`);
    return { ...result, stoodMs };
  });
  const middle = (pick: (turn: Record<'edge' | 'bare', LoadResult>) => number) => median(turns.counted.map(pick));
  return [
    ...latencyRows('memory hit, p99 at half of saturation, open loop', turns, {
      of: ({ edge }) => edge.p99,
      atMost: 5,
    }),
    { metric: 'memory hit, p50 at half of saturation, open loop', value: middle(({ edge }) => edge.p50), unit: 'ms' },
    { metric: 'bare Hono text route, p99 at the same rate', value: middle(({ bare }) => bare.p99), unit: 'ms' },
    { metric: 'how late the load itself sent them, p99', value: middle(({ edge }) => edge.lagP99 ?? 0), unit: 'ms' },
  ];
}

interface Turn {
  /** Requests a second. */
  rate: number;
  /** Microseconds a request. */
  cpu: number;
}
