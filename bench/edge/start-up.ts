/** How large the Worker is, and how long the first visitor waits for it: workerd from its start to the first answer. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { mean, median } from 'simple-statistics';
import { bundleEdge } from '../../scripts/edge-build.ts';
import { EMBEDDED } from '../../scripts/edge-serve/config.ts';
import { serveEdge } from '../../scripts/edge-serve.ts';
import { freePort } from '../../test/setup/free-port.ts';
import { bounded, type Row } from '../row.ts';
import { cpuMicros, runWorkerd, untilAnswered } from './workerd.ts';

export interface StartUpOptions {
  dir: string;
  backendUrl: string;
  keys: string;
  turns: number;
}

/** The same classes and nothing in them. */
const EMPTY = `export class Outbox {}
export class KillList {}
export default { fetch: () => new Response('ok'), queue() {} };
`;

interface Start {
  /** From the start of the process to its first answer. */
  ms: number;
  /** Used by then, on all threads. */
  cpuMs: number;
}

export async function startUpRows({ dir, backendUrl, keys, turns }: StartUpOptions): Promise<Row[]> {
  const script = await bundleEdge({ minify: true });
  const port = await freePort();
  const dirs = { edge: join(dir, 'edge'), empty: join(dir, 'empty') };
  const host = '127.0.0.1';
  // A queue on disk would deliver what the turn before has left in it.
  const queueModule = fileURLToPath(new URL('./queue-elsewhere.worker.ts', import.meta.url));
  const options = { host, port, backendUrl, keys, dataDir: dirs.edge, queueModule, onLine: () => undefined };
  const first = await serveEdge(options);
  await first.stop();
  // Objects stay behind in their folder, whose path is in the configuration.
  cpSync(dirs.edge, dirs.empty, { recursive: true, filter: (path) => !path.endsWith('objects') });
  writeFileSync(join(dirs.edge, EMBEDDED.edge), script);
  writeFileSync(join(dirs.empty, EMBEDDED.edge), EMPTY);

  const start = async (name: 'edge' | 'empty') => {
    const url = `http://${host}:${port}`;
    const served = runWorkerd(join(dirs[name], 'config.capnp'), { url, env: { HARNESS_KEYS: keys } });
    const ms = await untilAnswered(`${url}/v1/ads?q=running+shoes`);
    const cpuMs = cpuMicros(served.pid) / 1_000;
    await served.stop();
    return { ms, cpuMs };
  };
  const starts = { edge: [] as Start[], empty: [] as Start[] };
  for (let i = 0; i < turns; i++) {
    starts.empty.push(await start('empty'));
    starts.edge.push(await start('edge'));
  }
  const over = (of: keyof Start) => starts.edge.map((each, i) => each[of] - starts.empty[i]![of]);
  return [
    bounded('bundle, minified, gzip', gzipSync(script).byteLength / 1_000, 'kB', ['<=', 300]),
    bounded('cold start: first answer of /v1/ads, over an empty Worker', median(over('ms')), 'ms', ['<=', 50]),
    { metric: 'the same from the start of the process', value: median(starts.edge.map(({ ms }) => ms)), unit: 'ms' },
    // Counted in hundredths of a second, so the mean says more than the median; other processes do not lengthen it.
    { metric: 'CPU of the first answer, over an empty Worker', value: mean(over('cpuMs')), unit: 'ms' },
  ];
}
