/** Embedding requests of one text each, from a process of their own: as many as the connections carry, or at fixed times. */
import { loadElsewhere, runLoadSent, timedLoad } from '../edge/load.ts';
import { prepare, preparedRequests } from './prepared-requests.ts';

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
  /** At fixed times: how late this process sent what was due. */
  lagP99?: number | undefined;
  /** Seconds of processor time of this process, from the first request on. */
  cpuSeconds: number;
}

/** Runs the load in another process. */
export const applyEmbeddingLoad = (load: EmbeddingLoad): Promise<EmbeddingLoadResult> =>
  loadElsewhere(import.meta.filename, load);

async function run(load: EmbeddingLoad): Promise<EmbeddingLoadResult> {
  const { url, path, key, texts, from, connections } = load;
  const headers = [`authorization: Bearer ${key}`];
  // Base64 is what OpenAI's client asks for unless it is told otherwise.
  const requests = texts.map((input) => {
    const body = JSON.stringify({ model: 'default', input, encoding_format: 'base64' });
    return prepare(url, path, { headers, body });
  });
  const client = preparedRequests({ url, connections });
  let failed = 0;
  const before = process.cpuUsage();
  const timed = await timedLoad(load, async (index) => {
    const status = await client.send(requests[(from + index) % requests.length]!);
    if (status !== 200) failed++;
  });
  const { user, system } = process.cpuUsage(before);
  client.close();
  return { ...timed, failed, cpuSeconds: (user + system) / 1e6 };
}

runLoadSent(import.meta.filename, run);
