/**
 * The databases that the backend's tests run on: the embedded one, and a real Postgres. Usage:
 *
 *   describe.each(DATABASES)('%s', (_name, open) => {
 *     const database = useDatabase(open); // hooks.ts
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Connection, type Database, openPglite, openPostgres } from '../../gpu-backend/db/connect.ts';
import { lockDataFolder } from '../../gpu-backend/db/data-folder.ts';
import { migrate } from '../../gpu-backend/db/migrate.ts';
import { startPostgresServer } from './postgres-server.ts';

export interface TestDatabase {
  /** Migrated and empty. */
  db: Database;
  copying: Connection['copying'];
  close(): Promise<void>;
}

/**
 * A data folder with an empty embedded database in it. Creating one takes seconds, so it is done once a version of
 * PGlite and copied afterwards.
 */
export async function newDataFolder(): Promise<string> {
  const { version } = JSON.parse(readFileSync('node_modules/@electric-sql/pglite/package.json', 'utf8')) as {
    version: string;
  };
  const template = join(tmpdir(), `harness-pglite-${version}-${process.getuid?.() ?? 'user'}`);
  if (!existsSync(template)) {
    const fresh = mkdtempSync(`${template}-`);
    const folder = lockDataFolder(fresh);
    await (await openPglite(folder)).close();
    folder.release();
    try {
      renameSync(fresh, template);
    } catch {
      rmSync(fresh, { recursive: true, force: true }); // another test file was faster
    }
  }
  const dir = mkdtempSync(join(tmpdir(), 'harness-data-'));
  cpSync(template, dir, { recursive: true });
  return dir;
}

export async function openEmbeddedDatabase(): Promise<TestDatabase> {
  const dir = await newDataFolder();
  const folder = lockDataFolder(dir);
  const connection = await openPglite(folder);
  await migrate(connection.db);
  return {
    db: connection.db,
    copying: connection.copying,
    async close() {
      await connection.close();
      folder.release();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export async function openServerDatabase(): Promise<TestDatabase> {
  // Rollups wait for the oldest transaction that runs, and those of autovacuum begin when they like.
  const server = await startPostgresServer({ settings: ['autovacuum=off'] });
  const connection = await openPostgres(await server.createDatabase());
  await migrate(connection.db);
  return {
    db: connection.db,
    copying: connection.copying,
    async close() {
      await connection.close();
      await server.stop();
    },
  };
}

export const DATABASES: [name: string, open: () => Promise<TestDatabase>][] = [
  ['embedded', openEmbeddedDatabase],
  ['server', openServerDatabase],
];
