/**
 * Queries as the edge sends them, each signed for itself, from a process of their own: closed loop for the saturation, open
 * loop (bench/edge/load.ts) for latencies.
 */
import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { parseKeyRing, signRequest } from '../../shared/signature.ts';
import { exchange, loadElsewhere, runLoadSent, timedLoad } from '../edge/load.ts';

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
export const applyRetrieveLoad = (load: RetrieveLoad): Promise<RetrieveLoadResult> =>
  loadElsewhere(import.meta.filename, load);

async function run(load: RetrieveLoad): Promise<RetrieveLoadResult> {
  const { url, requests, from, connections } = load;
  const ring = parseKeyRing(load.keys);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const bodies = requests.map((request) => JSON.stringify(request));
  const statuses: Record<string, number> = {};
  const timed = await timedLoad(load, async (index) => {
    const body = bodies[(from + index) % bodies.length]!;
    const call = { method: 'POST', path: '/v1/retrieve', body };
    const signed = await signRequest(ring, call, { nowMs: Date.now(), nonce: randomUUID() });
    const headers = { ...signed, 'content-type': 'application/json' };
    const { status } = await exchange(url, agent, { ...call, headers });
    statuses[status] = (statuses[status] ?? 0) + 1;
  });
  agent.destroy();
  return { ...timed, statuses };
}

runLoadSent(import.meta.filename, run);
