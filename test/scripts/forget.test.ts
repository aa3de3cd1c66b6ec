/** The command that forgets events, on an embedded database: what it says, twice, and while a backend has the folder. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPglite } from '../../gpu-backend/db/connect.ts';
import { lockDataFolder } from '../../gpu-backend/db/data-folder.ts';
import { migrate } from '../../gpu-backend/db/migrate.ts';
import { experimentOf, impressionOf, storeEvents, storeExperiment } from '../fixtures/experiment-traffic.ts';
import { newDataFolder } from '../setup/databases.ts';

let dir: string;
beforeAll(async () => {
  dir = await newDataFolder();
  const folder = lockDataFolder(dir);
  const { db, close } = await openPglite(folder);
  await migrate(db);
  await storeExperiment(db, experimentOf('test'));
  const atMs = Date.UTC(2020, 0, 1);
  await storeEvents(db, [
    impressionOf({ id: 'a', unit: 'anna', arm: 'control', atMs }),
    impressionOf({ id: 'b', unit: 'bela', arm: 'control', experiment: 'none', atMs }),
  ]);
  await close();
  folder.release();
});
afterAll(() => rmSync(dir, { recursive: true }));

const forget = (...args: string[]) => forgetIn({}, args);
const forgetIn = (env: Record<string, string>, args: string[]) =>
  new Promise<{ stdout: string; stderr: string }>((resolve) =>
    execFile(
      process.execPath,
      ['scripts/forget.ts', ...args],
      { env: { ...process.env, DATABASE_URL: '', HARNESS_DATA: dir, ...env } },
      (_error, stdout, stderr) => resolve({ stdout, stderr }),
    ),
  );

test('says what it deleted, and what it kept and for whom', async () => {
  expect((await forget('--before', '2020-01-02')).stdout).toBe(
    'Deleted: 1 impressions, 1 exposures, 0 clicks, 0 conversions.\nKept: 1 impressions of before; experiments that run or ended later need them: test.\n',
  );
  expect((await forget('--unit', 'anna')).stdout).toBe(
    'Deleted: 1 impressions, 1 exposures, 0 clicks, 0 conversions. Renamed in the rollups: 2 rows.\n',
  );
  expect(JSON.parse((await forget('--before', '2020-01-02', '--all', '--json')).stdout)).toEqual({
    ...{ impressions: 0, exposures: 0, clicks: 0, conversions: 0 },
    ...{ kept: 0, experiments: [] },
  });
});

test('says of younger days up to when', async () => {
  const { stderr } = await forget('--before', '9999-01-01');
  expect(stderr).toMatch(/^before: expected a day up to \d{4}-\d\d-\d\d, got 9999-01-01: .*\n$/);
});

test('says so while a backend has the folder', async () => {
  const folder = lockDataFolder(dir);
  const { stderr } = await forget('--unit', 'anna');
  folder.release();
  expect(stderr.split('\n')).toEqual([expect.stringContaining(dir), '']);
});

test('says where no backend has been', async () => {
  const empty = await newDataFolder();
  const { stderr } = await forgetIn({ HARNESS_DATA: empty }, ['--unit', 'anna']);
  rmSync(empty, { recursive: true });
  expect(stderr).toBe(`HARNESS_DATA: ${empty} has no events yet; expected one that a backend has served from.\n`);
});
