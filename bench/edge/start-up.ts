/** How large the Worker is, and how long the first visitor waits for it: workerd from its start to the first answer. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { medianSorted } from 'simple-statistics';
import { bundleEdge } from '../../scripts/edge-build.ts';
import { EMBEDDED } from '../../scripts/edge-serve/config.ts';
import { serveEdge } from '../../scripts/edge-serve.ts';
import { freePorts } from '../../test/e2e/ports.ts';
import { bounded, type Row } from '../row.ts';
import { runWorkerd, untilAnswered } from './workerd.ts';

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

const median = (values: number[]) => medianSorted(values.toSorted((a, b) => a - b));

export async function startUpRows({ dir, backendUrl, keys, turns }: StartUpOptions): Promise<Row[]> {
  const script = await bundleEdge({ minify: true });
  const [port] = await freePorts(1);
  const dirs = { edge: join(dir, 'edge'), empty: join(dir, 'empty') };
  const host = '127.0.0.1';
  const first = await serveEdge({ host, port: port!, backendUrl, keys, dataDir: dirs.edge, onLine: () => undefined });
  await first.stop();
  // Objects stay behind in their folder, whose path is in the configuration.
  cpSync(dirs.edge, dirs.empty, { recursive: true, filter: (path) => !path.endsWith('objects') });
  writeFileSync(join(dirs.edge, EMBEDDED.edge), script);
  writeFileSync(join(dirs.empty, EMBEDDED.edge), EMPTY);

  const start = async (name: 'edge' | 'empty') => {
    const url = `http://${host}:${port}`;
    const served = runWorkerd(join(dirs[name], 'config.capnp'), { url, env: { HARNESS_KEYS: keys } });
    const ms = await untilAnswered(`${url}/v1/ads?q=running+shoes`);
    await served.stop();
    return ms;
  };
  const times = { edge: [] as number[], empty: [] as number[] };
  for (let i = 0; i < turns; i++) {
    times.empty.push(await start('empty'));
    times.edge.push(await start('edge'));
  }
  return [
    bounded('bundle, minified, gzip', gzipSync(script).byteLength / 1_000, 'kB', ['<=', 300]),
    bounded(
      'cold start: first answer of /v1/ads, over an empty Worker',
      median(times.edge.map((ms, i) => ms - times.empty[i]!)),
      'ms',
      ['<=', 50],
    ),
    { metric: 'the same from the start of the process', value: median(times.edge), unit: 'ms' },
  ];
}
