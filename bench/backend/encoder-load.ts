/** Embedding requests of one text each, from a process of their own: as many as the connections carry, or at fixed times. */
import { fork } from 'node:child_process';
import { Agent } from 'node:http';
import { exchange, onSchedule, WARM_UP_SECONDS } from '../edge/load.ts';

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
export function applyEmbeddingLoad(load: EmbeddingLoad): Promise<EmbeddingLoadResult> {
  const child = fork(import.meta.filename, { execArgv: ['--disable-warning=ExperimentalWarning'] });
  return new Promise((resolve, reject) => {
    child.once('message', (result) => resolve(result as EmbeddingLoadResult));
    child.once('exit', (code) => reject(new Error(`the load ended with ${code} before it had a result`)));
    child.send(load);
  });
}

async function run({ url, path, key, texts, from, connections, seconds, rate }: EmbeddingLoad) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  const bodies = texts.map((input) => JSON.stringify({ model: 'default', input, encoding_format: 'base64' }));
  const latencies: number[] = [];
  const untimed = rate === undefined ? 0 : Math.round(rate * WARM_UP_SECONDS);
  let failed = 0;
  const send = async (index: number, dueAt: number) => {
    const body = bodies[(from + index) % bodies.length]!;
    const { status } = await exchange(url, agent, { method: 'POST', path, headers, body });
    if (index >= untimed) latencies.push(performance.now() - dueAt);
    if (status !== 200) failed++;
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
  return { answers: latencies.length, seconds: spent, failed, p50: at(0.5), p99: at(0.99) };
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', async (load: EmbeddingLoad) => {
    const result: EmbeddingLoadResult = await run(load);
    process.send!(result, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(1));
}
