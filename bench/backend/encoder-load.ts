/** Embedding requests of one text each, from a process of their own: as many as the connections carry, or at fixed times. */
import { Agent } from 'node:http';
import { exchange, loadElsewhere, runLoadSent, timedLoad } from '../edge/load.ts';

export interface EmbeddingLoad {
  url: string;
  path: string;
  key: string;
  /** Sent in turn, beginning with `from`. */
  texts: string[];
  from: number;
  connections: number;
  seconds: number;
  /** Requests a second at fixed times; absent, as many as the connections carry. */
  rate?: number;
}

export interface EmbeddingLoadResult {
  answers: number;
  seconds: number;
  /** Answers other than 200. */
  failed: number;
  /** Milliseconds; at fixed times from when each was due. */
  p50: number;
  p99: number;
}

/** Runs the load in another process. */
export const applyEmbeddingLoad = (load: EmbeddingLoad): Promise<EmbeddingLoadResult> =>
  loadElsewhere(import.meta.filename, load);

async function run(load: EmbeddingLoad): Promise<EmbeddingLoadResult> {
  const { url, path, key, texts, from, connections } = load;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  const bodies = texts.map((input) => JSON.stringify({ model: 'default', input, encoding_format: 'base64' }));
  let failed = 0;
  const timed = await timedLoad(load, async (index) => {
    const body = bodies[(from + index) % bodies.length]!;
    const { status } = await exchange(url, agent, { method: 'POST', path, headers, body });
    if (status !== 200) failed++;
  });
  agent.destroy();
  return { ...timed, failed };
}

runLoadSent(import.meta.filename, run);
