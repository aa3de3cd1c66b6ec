/**
 * What an ad costs: bytes on disk and in memory by part, and the time of the build. These are the numbers behind the
 * plan for more ads than fit here (docs/scale.md), all per ad, so that they can be multiplied. Memory is that of a
 * process that only loads. And how long a load holds up the queries that come meanwhile.
 */
import { execFileSync } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { loadGeneration } from '../../gpu-backend/generations/load.ts';
import { View } from '../../gpu-backend/generations/view.ts';
import type { Row } from '../row.ts';
import { benchGeneration } from './generation.ts';

/** What loading took: bytes by kind, and time. */
interface Loaded {
  bytes: Record<'heapUsed' | 'arrayBuffers' | 'rss', number>;
  seconds: number;
  /** The longest that the event loop was held: so long a query waits that comes while a generation is loaded. */
  heldMs: number;
}

/** Which part of a generation a file is. */
const partOf = (file: string) =>
  file.endsWith('.hnsw') ? 'graph' : file.startsWith('vectors') ? 'vectors' : file.split('.')[0]!;

/** Loads a generation of so many ads; the first time it is built too. */
export async function footprintRows({ ads, say }: { ads: number; say: (line: string) => void }): Promise<Row[]> {
  const { path, spaceId, buildSeconds } = await benchGeneration(ads, say);
  const size = `${ads} ads`;
  const rows: Row[] = [{ metric: `build an ad, ${size}`, value: (buildSeconds * 1e6) / ads, unit: 'us' }];
  for (const file of (await readdir(path)).sort()) {
    const { size: bytes } = await stat(join(path, file));
    if (!file.endsWith('.json'))
      rows.push({ metric: `on disk, ${partOf(file)}, ${size}`, value: bytes / ads, unit: 'B/ad' });
  }
  // What is garbage is no cost of an ad, so the process can collect it.
  const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning', '--max-old-space-size=16000'];
  const out = execFileSync(process.execPath, [...flags, import.meta.filename, path, spaceId], { encoding: 'utf8' });
  const { bytes, seconds, heldMs } = JSON.parse(out) as Loaded;
  for (const [part, name] of [
    ['heapUsed', 'JavaScript heap'],
    ['arrayBuffers', 'buffers'],
    ['rss', 'resident, all'],
  ] as const)
    rows.push({ metric: `in memory, ${name}, ${size}`, value: bytes[part] / ads, unit: 'B/ad' });
  rows.push({ metric: `load an ad, ${size}`, value: (seconds * 1e6) / ads, unit: 'us' });
  rows.push({ metric: `longest hold of the event loop while loading, ${size}`, value: heldMs, unit: 'ms' });
  return rows;
}

/** In the process that only loads. */
async function load(path: string, spaceId: string): Promise<Loaded> {
  const collected = () => {
    globalThis.gc!();
    return process.memoryUsage();
  };
  const before = collected();
  const beganAt = performance.now();
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const view = new View(await loadGeneration(path, { spaceId }));
  await nextTurn(); // what is held last counts too
  loop.disable();
  const seconds = (performance.now() - beganAt) / 1_000;
  const after = collected();
  const grown = (part: keyof Loaded['bytes']) => after[part] - before[part];
  if (view.ads === 0) throw new Error(`${path}: expected ads.`); // and what was loaded is alive up to here
  return {
    bytes: { heapUsed: grown('heapUsed'), arrayBuffers: grown('arrayBuffers'), rss: grown('rss') },
    seconds,
    heldMs: loop.max / 1e6,
  };
}

if (import.meta.main) console.log(JSON.stringify(await load(process.argv[2]!, process.argv[3]!)));
