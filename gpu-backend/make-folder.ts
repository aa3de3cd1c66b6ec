/** A folder that an option or setting names, made where it is missing. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { HarnessError } from '../shared/problem.ts';

/** What is said of a folder that cannot be made or written. */
export const folderRefused = (option: string, path: string, cause: unknown) =>
  new HarnessError(
    'configuration',
    `${option}: expected a folder that can be written, got ${path} (${(cause as NodeJS.ErrnoException).code}).`,
    { cause },
  );

/** Makes it, and those above it; throws `configuration` in one line that names the option. */
export function makeFolder(option: string, path: string): void {
  try {
    make(resolve(path));
  } catch (cause) {
    throw folderRefused(option, path, cause);
  }
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Node's own (`recursive: true`) never returns where the folder above is there and takes none, as in /proc. */
function make(path: string): void {
  if (isFolder(path)) return;
  if (dirname(path) !== path) make(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!isFolder(path)) throw error; // another process was faster
  }
}
