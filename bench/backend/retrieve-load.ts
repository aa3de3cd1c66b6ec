/**
 * Queries as the edge sends them, each signed for itself, from a process of their own: closed loop for the saturation, open
 * loop (bench/edge/load.ts) for latencies.
 */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { parseKeyRing, signRequest } from '../../shared/signature.ts';
import { exchange, onSchedule, WARM_UP_SECONDS } from '../edge/load.ts';

export interface RetrieveLoad {
  url: string;
  keys: string;
  /** Sent in turn, beginning with `from`. */
  requests: RetrieveRequest[];
  from: number;
  connections: number;
  seconds: number;
  /** Requests a second at fixed times; absent, as many as the connections carry. */
  rate?: number;
}

export interface RetrieveLoadResult {
  answers: number;
  seconds: number;
  statuses: Record<string, number>;
  /** Milliseconds; in the open loop from when each was due. */
  p50: number;
  p99: number;
}

/** Runs the load in another process. */
export function applyRetrieveLoad(load: RetrieveLoad): Promise<RetrieveLoadResult> {
  const child = fork(import.meta.filename, { execArgv: ['--disable-warning=ExperimentalWarning'] });
  return new Promise((resolve, reject) => {
    child.once('message', (result) => resolve(result as RetrieveLoadResult));
    child.once('exit', (code) => reject(new Error(`the load ended with ${code} before it had a result`)));
    child.send(load);
  });
}

async function run(load: RetrieveLoad): Promise<RetrieveLoadResult> {
  const { url, requests, from, connections, seconds, rate } = load;
  const ring = parseKeyRing(load.keys);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const bodies = requests.map((request) => JSON.stringify(request));
  const latencies: number[] = [];
  const untimed = rate === undefined ? 0 : Math.round(rate * WARM_UP_SECONDS);
  const statuses: Record<string, number> = {};
  const send = async (index: number, dueAt: number) => {
    const body = bodies[(from + index) % bodies.length]!;
    const call = { method: 'POST', path: '/v1/retrieve', body };
    const signed = await signRequest(ring, call, { nowMs: Date.now(), nonce: randomUUID() });
    const headers = { ...signed, 'content-type': 'application/json' };
    const { status } = await exchange(url, agent, { ...call, headers });
    if (index >= untimed) latencies.push(performance.now() - dueAt);
    statuses[status] = (statuses[status] ?? 0) + 1;
  };
  const startedAt = performance.now();
  if (rate === undefined) {
    const until = startedAt + seconds * 1_000;
    let index = 0;
    await Promise.all(
      Array.from({ length: connections }, async () => {
        while (performance.now() < until) await send(index++, performance.now());
      }),
    );
  } else await onSchedule({ rate, seconds: WARM_UP_SECONDS + seconds }, send);
  const spent = (performance.now() - startedAt) / 1_000 - (rate === undefined ? 0 : WARM_UP_SECONDS);
  agent.destroy();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? 0;
  return { answers: latencies.length, seconds: spent, statuses, p50: at(0.5), p99: at(0.99) };
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', async (load: RetrieveLoad) => {
    const result = await run(load);
    process.send!(result, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(1));
}
