/** The key ring that edge and backend share, for programs on this machine. */
import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/** The keys of a data folder, made where there are none; throws `configuration` when they cannot be. */
export function makeKeys(dataDir: string): string {
  const file = join(dataDir, 'keys');
  const mine = `${file}.${process.pid}`;
  try {
    if (!existsSync(file)) {
      // Whole or not there, on a full disk too; of two that start at once the first one's hold.
      writeFileSync(mine, `local:${randomBytes(32).toString('hex')}`, { mode: 0o600, flush: true });
      linkSync(mine, file);
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'EEXIST')
      throw new HarnessError('configuration', `${file}: expected to write the keys of this folder there (${code}).`, {
        cause,
      });
  } finally {
    rmSync(mine, { force: true });
  }
  return readKeys(dataDir);
}
