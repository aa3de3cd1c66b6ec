/**
 * The data folder (`.harness/` unless HARNESS_DATA says otherwise) and its lock: one process at a time, because PGlite and
 * the published generations have one writer. The lock is a file that names its holder; that of a dead process is taken over.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { HarnessError } from '../../shared/problem.ts';
import { folderRefused, makeFolder } from '../make-folder.ts';

/** A folder whose lock this process holds. */
export interface DataFolder {
  /** Absolute. */
  readonly path: string;
  /** Gives the folder back; further calls do nothing. */
  release(): void;
}

interface Holder {
  pid: number;
  /** Tells a process from a later one under the same number; empty where the system does not say. */
  started: string;
}

const LOCK = 'lock';

/** Start time of a process in clock ticks since boot, field 22 of /proc/PID/stat; empty off Linux. */
function startedOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false; // EPERM: alive, another user's
  }
  const now = startedOf(pid);
  return started === '' || now === '' || now === started;
}

function holderOf(file: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return typeof pid === 'number' && pid > 0 ? { pid, started: String(started ?? '') } : undefined;
  } catch {
    return undefined; // gone, or not ours: what cannot be read holds nothing
  }
}

/** Creates the folder when missing and takes its lock; throws `configuration` naming the process that holds it. */
export function lockDataFolder(dir: string): DataFolder {
  const path = resolve(dir);
  const file = join(path, LOCK);
  const mine = join(path, `${LOCK}.${process.pid}`);
  makeFolder('HARNESS_DATA', path);
  try {
    writeFileSync(mine, JSON.stringify({ pid: process.pid, started: startedOf(process.pid) } satisfies Holder));
  } catch (cause) {
    throw folderRefused('HARNESS_DATA', path, cause);
  }
  try {
    for (;;) {
      try {
        linkSync(mine, file); // atomic, and fails when the lock exists
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = holderOf(file);
      if (holder !== undefined && isAlive(holder)) throw held(path, holder);
      takeAway(file, path);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  let released = false;
  return {
    path,
    release() {
      if (!released) rmSync(file, { force: true });
      released = true;
    },
  };
}

const held = (path: string, { pid }: Holder) =>
  new HarnessError(
    'configuration',
    `${path} is in use by process ${pid}: stop that one first, or set HARNESS_DATA to another folder.`,
  );

/** Moves a dead holder's lock aside; when another starter was faster and the lock moved is alive, puts it back. */
function takeAway(file: string, path: string): void {
  const aside = `${file}.${process.pid}.old`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = holderOf(aside);
  if (moved !== undefined && isAlive(moved)) {
    renameSync(aside, file);
    throw held(path, moved);
  }
  rmSync(aside, { force: true });
}
