/** Applies migrations/ in order, each once, all in one transaction. Also a command: `npm run db:migrate`. */
import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { HarnessError } from '../../shared/problem.ts';
import { exitWith, parseCommandLine } from '../command-line.ts';
import { parseConfig } from '../config.ts';
import { type Database, openPglite, openPostgres, rows } from './connect.ts';
import { lockDataFolder } from './data-folder.ts';
import { refusal } from './sql-error.ts';

const FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url));
/** Any number that no other program locks on: "HARN" in ASCII. */
const ADVISORY_LOCK = 0x4841524e;
/** SQLSTATE. */
const LOCK_NOT_AVAILABLE = '55P03';

/** How long a change of a table waits for those who use it: everybody who comes later waits behind it. */
const LOCK_TIMEOUT_MS = 10_000;

/**
 * Brings the database to the newest schema and returns how many migrations that took. Several processes may call it at
 * once. The bookkeeping table is drizzle's own, so drizzle-kit understands it. Throws `configuration` for a database that
 * a newer version has migrated, and where others keep a table to themselves for longer than `lockTimeoutMs`.
 */
export async function migrate(db: Database, { lockTimeoutMs = LOCK_TIMEOUT_MS } = {}): Promise<number> {
  const migrations = readMigrationFiles({ migrationsFolder: FOLDER });
  const migrating = db.transaction(async (tx) => {
    // An index over all events, or another process that migrates, may take long.
    await tx.execute(sql`set local statement_timeout = 0`);
    await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCK}::bigint)`);
    await tx.execute(sql`select set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`);
    await tx.execute(sql`create schema if not exists drizzle`);
    await tx.execute(
      sql`create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
    );
    const [last] = await rows<{ at: number }>(
      tx,
      sql`select coalesce(max(created_at), 0)::float8 as at from drizzle.__drizzle_migrations`,
    );
    if (last!.at > migrations.at(-1)!.folderMillis) {
      throw new HarnessError(
        'configuration',
        `The database was migrated on ${new Date(last!.at).toISOString()} by a newer version, this one knows migrations up to ${new Date(migrations.at(-1)!.folderMillis).toISOString()}: update the program or use another database.`,
      );
    }
    const pending = migrations.filter(({ folderMillis }) => folderMillis > last!.at);
    for (const { sql: statements, hash, folderMillis } of pending) {
      for (const statement of statements) await tx.execute(sql.raw(statement));
      await tx.execute(
        sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis})`,
      );
    }
    return pending.length;
  });
  return migrating.catch((error: unknown) => {
    if (refusal(error)?.code !== LOCK_NOT_AVAILABLE) throw error;
    throw new HarnessError(
      'configuration',
      `The database: expected a lock on every table to migrate within ${lockTimeoutMs} ms, got none: end the session that holds one (pg_stat_activity), or try again later.`,
      { cause: error },
    );
  });
}

if (import.meta.main) {
  parseCommandLine({
    name: 'npm run db:migrate --',
    description: 'Brings the database to the newest schema. The backend does so itself when it starts.',
    settings: ['DATABASE_URL', 'HARNESS_DATA'],
  });
  try {
    const { databaseUrl, dataDir } = parseConfig({ HARNESS_KEYS: 'unused:'.padEnd(32, '-'), ...process.env });
    const folder = databaseUrl === undefined ? lockDataFolder(dataDir) : undefined;
    const connection =
      folder === undefined
        ? await openPostgres(databaseUrl!, { application: 'harness-migrate' })
        : await openPglite(folder);
    const count = await migrate(connection.db);
    await connection.close();
    folder?.release();
    console.log(count === 0 ? 'The schema is up to date.' : `Applied ${count} migration${count === 1 ? '' : 's'}.`);
  } catch (error) {
    exitWith(error);
  }
}
