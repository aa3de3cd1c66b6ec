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
}

/**
 * An open load begins so long before it is timed, at the same rate: its process opens connections and compiles itself meanwhile, and
 * what piles up over that says nothing of the server.
 */
const WARM_UP_SECONDS = 3;

/** Has the module at `file` run a load, in a process of its own that ends with it. */
export function loadElsewhere<Load extends object, Result>(file: string, load: Load): Promise<Result> {
  const child = fork(file, { execArgv: ['--disable-warning=ExperimentalWarning'] });
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
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    timeout: 60,
    requests: requests as autocannon.Request[],
  });
  const { statusCodeStats = {} } = result;
  const statuses = Object.fromEntries(
    Object.entries(statusCodeStats).map(([status, stats]) => [status, (stats as { count: number }).count]),
  );
  if (result.errors > 0) statuses[0] = result.errors;
  const { p50, p99 } = result.latency;
  return { answers: result.requests.total, seconds: result.duration, statuses, p50, p99 };
}

/** Calls `start` once for every time that is due, at `rate` a second, and says when each was due. */
export async function onSchedule(
  { rate, seconds }: { rate: number; seconds: number },
  start: (index: number, dueAt: number) => Promise<void>,
): Promise<void> {
  const total = Math.round(rate * seconds);
  const beganAt = performance.now();
  const running: Promise<void>[] = [];
  while (running.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - beganAt) * rate) / 1_000) + 1);
    while (running.length < due) running.push(start(running.length, beganAt + (running.length * 1_000) / rate));
    await new Promise((next) => setTimeout(next, 1));
  }
  await Promise.all(running);
}

/**
 * Sends in a closed loop of some connections or, where there is a rate, at fixed times after a warm-up. `send` makes the request of
 * a number. Milliseconds; at fixed times from when each was due.
 */
export async function timedLoad(
  { connections, seconds, rate }: { connections: number; seconds: number; rate?: number | undefined },
  send: (index: number) => Promise<void>,
): Promise<Pick<LoadResult, 'answers' | 'seconds' | 'p50' | 'p99'>> {
  const untimed = rate === undefined ? 0 : Math.round(rate * WARM_UP_SECONDS);
  const latencies: number[] = [];
  let startedAt = performance.now();
  const timed = async (index: number, dueAt: number) => {
    if (index === untimed) startedAt = dueAt;
    await send(index);
    if (index >= untimed) latencies.push(performance.now() - dueAt);
  };
  if (rate === undefined) {
    const until = startedAt + seconds * 1_000;
    let index = 0;
    await Promise.all(
      Array.from({ length: connections }, async () => {
        while (performance.now() < until) await timed(index++, performance.now());
      }),
    );
  } else await onSchedule({ rate, seconds: WARM_UP_SECONDS + seconds }, timed);
  const spent = (performance.now() - startedAt) / 1_000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? 0;
  return { answers: latencies.length, seconds: spent, p50: at(0.5), p99: at(0.99) };
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
