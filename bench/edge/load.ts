/**
 * Load from a process of its own, in two forms. Closed: as much as some connections can carry, for the saturation. Open:
 * requests at fixed times whether or not earlier ones were answered, each timed from the moment it was due, so that a
 * server that stalls is charged for all that waited meanwhile (no coordinated omission).
 */
import { fork } from 'node:child_process';
import { Agent, type IncomingMessage, request as send } from 'node:http';
import autocannon from 'autocannon';

export interface LoadRequest {
  path: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface ClosedLoad {
  kind: 'closed';
  url: string;
  connections: number;
  seconds: number;
  /** Sent in turn by every connection. */
  requests: LoadRequest[];
}

export interface OpenLoad {
  kind: 'open';
  url: string;
  connections: number;
  /** Requests a second. */
  rate: number;
  seconds: number;
  requests: LoadRequest[];
}

export interface LoadResult {
  answers: number;
  seconds: number;
  /** Answers by status; what broke off is under `0`. */
  statuses: Record<string, number>;
  /** Milliseconds. */
  p50: number;
  p99: number;
  /**
   * Of an open load, how late its own process sent what was due: milliseconds, 99th percentile. It is part of the latencies,
   * and what they would be of a server that takes no time.
   */
  lagP99?: number | undefined;
}

/**
 * An open load begins this long before it is timed, at the same rate: its process opens connections and compiles its
 * code meanwhile, and what piles up over that says nothing about the server.
 */
const WARM_UP_SECONDS = 3;

/** Has the module at `file` run a load, in a process of its own that ends with it. */
export function loadElsewhere<Load extends object, Result>(file: string, load: Load): Promise<Result> {
  // Room for young objects, so that the load's own garbage is collected seldom: it would stand still meanwhile.
  const child = fork(file, { execArgv: ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=64'] });
  return new Promise((resolve, reject) => {
    child.once('message', (result) => resolve(result as Result));
    child.once('exit', (code) => reject(new Error(`the load ended with ${code} before it had a result`)));
    child.send(load);
  });
}

/** The other end: where the module at `file` is the process's own, it runs the load that it is sent. */
export function runLoadSent<Load>(file: string, run: (load: Load) => Promise<object>): void {
  if (process.argv[1] !== file) return;
  process.once('message', async (load: Load) => {
    const result = await run(load);
    process.send!(result, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(1));
}

/** Runs the load in another process. */
export const applyLoad = (load: ClosedLoad | OpenLoad): Promise<LoadResult> =>
  loadElsewhere(import.meta.filename, load);

/** One request to its end; resolves with the status, 0 when the connection broke. */
export function exchange(url: string, agent: Agent, { path, method = 'GET', headers, body }: LoadRequest) {
  return new Promise<{ status: number; body: string }>((resolve) => {
    const { hostname, port } = new URL(url);
    const broken = () => resolve({ status: 0, body: '' });
    // Node leaves the length out for methods that seldom have a body, and the body would be read as the next request.
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const outgoing = send({ hostname, port, path, method, agent, headers: { ...headers, ...length } });
    outgoing.once('error', broken).once('response', (incoming: IncomingMessage) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('error', broken);
      incoming.once('end', () =>
        resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.end(body);
  });
}

async function closed({ url, connections, seconds, requests }: ClosedLoad): Promise<LoadResult> {
  const { promise, resolve, reject } = Promise.withResolvers<autocannon.Result>();
  const run = autocannon(
    { url, connections, duration: seconds, timeout: 60, requests: requests as autocannon.Request[] },
    (error, result) => (error === null ? resolve(result) : reject(error)),
  );
  // Its own duration begins before it writes every request once for each connection: a tenth of a turn where they are many.
  let beganAt = 0;
  run.once('start', () => {
    beganAt = performance.now();
  });
  const result = await promise;
  const spent = (performance.now() - beganAt) / 1_000;
  const { statusCodeStats = {} } = result;
  const statuses = Object.fromEntries(
    Object.entries(statusCodeStats).map(([status, stats]) => [status, (stats as { count: number }).count]),
  );
  if (result.errors > 0) statuses[0] = result.errors;
  const { p50, p99 } = result.latency;
  return { answers: result.requests.total, seconds: spent, statuses, p50, p99 };
}

/**
 * Calls `start` once for every time that is due, at `rate` a second and evenly spread, and says when each was due;
 * resolves when all have ended, rejects with the first that fails. What a late timer missed is started at once.
 */
export async function onSchedule(
  { rate, seconds }: { rate: number; seconds: number },
  start: (index: number, dueAt: number) => Promise<void>,
): Promise<void> {
  const total = Math.round(rate * seconds);
  const { promise: allEnded, resolve, reject } = Promise.withResolvers<void>();
  let [started, ended] = [0, 0];
  const end = () => ++ended === total && resolve();
  const beganAt = performance.now();
  while (started < total) {
    const due = Math.min(total, Math.floor(((performance.now() - beganAt) * rate) / 1_000) + 1);
    for (; started < due; started++) start(started, beganAt + (started * 1_000) / rate).then(end, reject);
    await Promise.race([allEnded, new Promise((next) => setTimeout(next, 1))]);
  }
  if (ended < total) await allEnded;
}

/** The value that the share of the values lies below; 0 of none. */
function quantile(values: Float64Array, share: number): number {
  const sorted = values.toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

type Timed = Pick<LoadResult, 'answers' | 'seconds' | 'p50' | 'p99' | 'lagP99'>;

/**
 * Sends in a closed loop of some connections or, where there is a rate, at fixed times after a warm-up. `send` makes the request of
 * a number. Milliseconds; at fixed times from when each was due.
 */
export async function timedLoad(
  { connections, seconds, rate }: { connections: number; seconds: number; rate?: number | undefined },
  send: (index: number) => Promise<void>,
): Promise<Timed> {
  return rate === undefined ? closedLoop({ connections, seconds }, send) : openLoop({ rate, seconds }, send);
}

async function closedLoop(
  { connections, seconds }: { connections: number; seconds: number },
  send: (index: number) => Promise<void>,
): Promise<Timed> {
  const latencies: number[] = [];
  const startedAt = performance.now();
  const until = startedAt + seconds * 1_000;
  let index = 0;
  const connection = async () => {
    for (let sentAt = startedAt; sentAt < until; ) {
      await send(index++);
      const now = performance.now();
      latencies.push(now - sentAt);
      sentAt = now;
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
  const all = Float64Array.from(latencies);
  const spent = (performance.now() - startedAt) / 1_000;
  return { answers: all.length, seconds: spent, p50: quantile(all, 0.5), p99: quantile(all, 0.99) };
}

async function openLoop(
  { rate, seconds }: { rate: number; seconds: number },
  send: (index: number) => Promise<void>,
): Promise<Timed> {
  const untimed = Math.round(rate * WARM_UP_SECONDS);
  const schedule = { rate, seconds: WARM_UP_SECONDS + seconds };
  // Made before the first is sent: what grew meanwhile would be copied and collected while others are due.
  const latencies = new Float64Array(Math.round(rate * schedule.seconds) - untimed);
  const lags = new Float64Array(latencies.length);
  let startedAt = 0;
  await onSchedule(schedule, async (index, dueAt) => {
    const timed = index - untimed;
    if (timed === 0) startedAt = dueAt;
    if (timed >= 0) lags[timed] = performance.now() - dueAt;
    await send(index);
    if (timed >= 0) latencies[timed] = performance.now() - dueAt;
  });
  return {
    answers: latencies.length,
    seconds: (performance.now() - startedAt) / 1_000,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    lagP99: quantile(lags, 0.99),
  };
}

async function open({ url, connections, rate, seconds, requests }: OpenLoad): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const statuses: Record<string, number> = {};
  const timed = await timedLoad({ connections, rate, seconds }, async (index) => {
    const { status } = await exchange(url, agent, requests[index % requests.length]!);
    statuses[status] = (statuses[status] ?? 0) + 1;
  });
  agent.destroy();
  return { ...timed, statuses };
}

runLoadSent(import.meta.filename, (load: ClosedLoad | OpenLoad) =>
  load.kind === 'closed' ? closed(load) : open(load),
);
