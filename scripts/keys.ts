/** The key ring that edge and backend share, for programs on this machine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HarnessError } from '../shared/problem.ts';
import { ENVIRONMENT } from './environment.ts';

/** `HARNESS_KEYS`, else the keys that `npm start` made in its data folder; throws `configuration` when there are none. */
export function readKeys(dataDir: string): string {
  if (ENVIRONMENT.keys !== undefined) return ENVIRONMENT.keys;
  const file = join(dataDir, 'keys');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new HarnessError(
      'configuration',
      `Set HARNESS_KEYS to the key ring of the edge: none can be read from ${file} (${code}).`,
      { cause },
    );
  }
}
