import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { sql } from 'drizzle-orm';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openPglite, rows } from '../../../gpu-backend/db/connect.ts';
import { raise, reached } from '../../../gpu-backend/db/counters.ts';
import { lockDataFolder } from '../../../gpu-backend/db/data-folder.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { newDataFolder } from '../../setup/databases.ts';

test('a database whose thread dies fails what runs, is opened again, and has what was committed', async () => {
  const post = vi.spyOn(Worker.prototype, 'postMessage');
  onTestFinished(() => post.mockRestore());
  const dir = await newDataFolder();
  const folder = lockDataFolder(dir);
  let restarts = 0;
  const { db, close } = await openPglite(folder, () => restarts++);
  await migrate(db);
  expect(await raise(db, 'config')).toBe(1);
  const running = expect(raise(db, 'config')).rejects.toMatchObject({
    cause: { message: expect.stringContaining('the database thread ended') },
  });
  await (post.mock.contexts.at(-1) as unknown as Worker).terminate();
  await running;
  expect(await reached(db, 'config')).toBe(1);
  expect(await raise(db, 'config')).toBe(2);
  expect(restarts).toBe(1);
  await close();
  folder.release();
  rmSync(dir, { recursive: true });
});

test('messages of any size go through whole', async () => {
  const dir = await newDataFolder();
  const folder = lockDataFolder(dir);
  const { db, close } = await openPglite(folder);
  for (const size of [0, 1, 65_535, 65_536, 3_000_000]) {
    const text = 'ü'.repeat(size);
    const [row] = await rows<{ text: string; bytes: number }>(
      db,
      sql`select ${text}::text as text, octet_length(${text}::text) as bytes`,
    );
    expect([row!.text === text, row!.bytes]).toEqual([true, 2 * size]);
  }
  const many = await Promise.all(
    Array.from({ length: 200 }, (_, i) => rows<{ i: number }>(db, sql`select ${i}::int as i`)),
  );
  expect(many.map(([row]) => row!.i)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  await close();
  folder.release();
  rmSync(dir, { recursive: true });
});

test('a folder that holds something else is refused in one line', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'harness-data-'));
  const folder = lockDataFolder(dir);
  mkdirSync(join(dir, 'pglite'));
  writeFileSync(join(dir, 'pglite', 'PG_VERSION'), '9\n');
  await expect(openPglite(folder)).rejects.toMatchObject({
    code: 'configuration',
    message: expect.stringMatching(
      /^\S+pglite: expected a database that this version can open, got: .*start afresh\.$/,
    ),
  });
  folder.release();
  rmSync(dir, { recursive: true });
});
