/** The key ring that edge and backend share, for programs on this machine. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HarnessError } from '../shared/problem.ts';

/** `HARNESS_KEYS`, else the keys that `npm start` made in its data folder; throws `configuration` when there are none. */
export function readKeys(dataDir: string): string {
  if (process.env.HARNESS_KEYS !== undefined) return process.env.HARNESS_KEYS;
  const file = join(dataDir, 'keys');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  throw new HarnessError('configuration', `Set HARNESS_KEYS to the key ring of the edge: there is none in ${file}.`);
}
