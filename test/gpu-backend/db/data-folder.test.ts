import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockDataFolder } from '../../../gpu-backend/db/data-folder.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'harness-lock-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** The number of a process that has ended. */
const deadPid = () => spawnSync(process.execPath, ['-e', '']).pid;

describe('the lock of a data folder', () => {
  test('creates the folder, and lets one in at a time', () => {
    const dir = join(root, 'a', 'b');
    const folder = lockDataFolder(dir);
    expect(() => lockDataFolder(dir)).toThrow(
      expect.objectContaining({
        code: 'configuration',
        message: `${dir} is in use by process ${process.pid}: stop that one first, or set HARNESS_DATA to another folder.`,
      }) as Error,
    );
    folder.release();
    folder.release();
    const next = lockDataFolder(dir);
    folder.release(); // has nothing left to give back
    expect(existsSync(join(dir, 'lock'))).toBe(true);
    next.release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test.each([
    ['of a dead process', () => JSON.stringify({ pid: deadPid(), started: '' })],
    [
      'of an earlier process under the number of a living one',
      () => JSON.stringify({ pid: process.pid, started: '1' }),
    ],
    ['cut short by a crash', () => '{"pid":'],
  ])('%s is taken over', (name, content) => {
    if (name.includes('earlier') && !existsSync('/proc/self/stat')) return;
    writeFileSync(join(root, 'lock'), content());
    lockDataFolder(root).release();
    expect(readdirSync(root)).toEqual([]);
  });

  test('of a living process holds, whoever started it', () => {
    writeFileSync(join(root, 'lock'), JSON.stringify({ pid: process.ppid, started: '' }));
    expect(() => lockDataFolder(root)).toThrow(`in use by process ${process.ppid}`);
    expect(readdirSync(root)).toEqual(['lock']);
  });

  test('where no folder can be made is told in one line', () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    for (const dir of [file, join(file, 'below')]) {
      expect(() => lockDataFolder(dir)).toThrow(
        /^HARNESS_DATA: expected a folder that can be written, got .* \(E\w+\)\.$/,
      );
    }
  });
});
