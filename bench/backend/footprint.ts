/**
 * What an ad costs: bytes on disk and in memory by part, and the time of the build. Numbers of the plan for more ads than
 * fit here (docs/scale.md); all are an ad, so that they can be multiplied.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadGeneration } from '../../gpu-backend/generations/load.ts';
import { View } from '../../gpu-backend/generations/view.ts';
import type { Row } from '../row.ts';
import { benchGeneration } from './generation.ts';

/** Which part of a generation a file is. */
const partOf = (file: string) =>
  file.endsWith('.usearch') ? 'graph' : file.startsWith('vectors') ? 'vectors' : file.split('.')[0]!;

setFlagsFromString('--expose-gc');
/** What is garbage is no cost of an ad. */
const collect = runInNewContext('gc') as () => void;

function collected(): NodeJS.MemoryUsage {
  collect();
  return process.memoryUsage();
}

/** Loads a generation of so many ads; the first time it is built too. */
export async function footprintRows({ ads: count, say }: { ads: number; say: (line: string) => void }): Promise<Row[]> {
  const { path, spaceId, buildSeconds } = await benchGeneration(count, say);
  const size = `${count} ads`;
  const rows: Row[] = [{ metric: `build an ad, ${size}`, value: (buildSeconds * 1e6) / count, unit: 'us' }];
  for (const file of (await readdir(path)).sort()) {
    const { size: bytes } = await stat(join(path, file));
    if (file !== 'manifest.json')
      rows.push({ metric: `on disk, ${partOf(file)}, ${size}`, value: bytes / count, unit: 'B/ad' });
  }
  const before = collected();
  const beganAt = performance.now();
  const view = new View(await loadGeneration(path, { spaceId }));
  const seconds = (performance.now() - beganAt) / 1_000;
  const after = collected();
  for (const [part, name] of [
    ['heapUsed', 'JavaScript heap'],
    ['arrayBuffers', 'buffers'],
    ['rss', 'resident, all'],
  ] as const)
    rows.push({ metric: `in memory, ${name}, ${size}`, value: (after[part] - before[part]) / count, unit: 'B/ad' });
  rows.push({ metric: `load an ad, ${size}`, value: (seconds * 1e6) / view.ads, unit: 'us' });
  return rows;
}
