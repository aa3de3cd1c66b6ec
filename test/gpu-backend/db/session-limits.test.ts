/** What a real server ends by itself, and that work which takes long has limits of its own. */
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Connection, type Database, openPostgres, rows } from '../../../gpu-backend/db/connect.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { isAway } from '../../../gpu-backend/db/sql-error.ts';
import type { Endpoint } from '../../../gpu-backend/http/endpoint.ts';
import { withDatabase } from '../../../gpu-backend/http/with-database.ts';
import { type PostgresServer, startPostgresServer } from '../../setup/postgres-server.ts';

let server: PostgresServer;
const open: Connection[] = [];
beforeAll(async () => {
  server = await startPostgresServer();
});
afterEach(async () => {
  for (const connection of open.splice(0)) await connection.close();
});
afterAll(() => server.stop());

const connected = async (...args: Parameters<typeof openPostgres>) => {
  const connection = await openPostgres(...args);
  open.push(connection);
  return connection;
};

/** Seconds that are no wait for a statement that does its work, on a machine however busy, and two that are longer. */
const [LIMIT, LONGER, FOREVER] = [3, 4, 600];
const sleep = (seconds: number) => sql`select 1 as one from pg_sleep(${seconds}::int)`;

const settings = (db: Database) =>
  rows(
    db,
    sql`select current_setting('application_name') as name, current_setting('statement_timeout') as statement,
      current_setting('idle_in_transaction_session_timeout') as idle`,
  );

test('sessions say whose they are, and have the limits that were asked for', async () => {
  const url = await server.createDatabase();
  const { db, batch } = await connected(url, {
    limits: { statementSeconds: 7, batchSeconds: 0, idleTransactionSeconds: 90 },
  });
  expect(await settings(db)).toEqual([{ name: 'harness', statement: '7s', idle: '90s' }]);
  expect(await settings(batch)).toEqual([{ name: 'harness-batch', statement: '0', idle: '0' }]);
  const own = await connected(`${url}?statement_timeout=5000`, { application: 'harness-load' });
  expect(await settings(own.db)).toEqual([{ name: 'harness-load', statement: '5s', idle: '0' }]);
  expect(await settings(own.batch)).toEqual([{ name: 'harness-load-batch', statement: '5s', idle: '0' }]);
});

test('a statement of a request is given up, which is no absence of the database; a report may take longer', async () => {
  const { db, batch } = await connected(await server.createDatabase(), {
    limits: { statementSeconds: LIMIT, batchSeconds: 0, idleTransactionSeconds: 0 },
  });
  const endpoint = { on: 'get /v1/experiments', handle: () => db.execute(sleep(FOREVER)) } as unknown as Endpoint;
  const [error, handled, report] = await Promise.all([
    db.execute(sleep(FOREVER)).catch((thrown: unknown) => thrown),
    withDatabase(endpoint, { guard: (work) => work() })
      .handle({} as never)
      .catch((thrown: unknown) => thrown),
    rows(batch, sleep(LONGER)),
  ]);
  expect(error).toMatchObject({ cause: { code: '57014' } });
  expect(isAway(error)).toBe(false);
  expect(handled).toMatchObject({
    code: 'deadline_exceeded',
    message: expect.stringContaining('due to statement timeout): HARNESS_STATEMENT_SECONDS and HARNESS_BATCH_SECONDS'),
  });
  expect(report).toEqual([{ one: 1 }]);
});

test('a transaction that asks nothing is ended, and holds its locks no longer', async () => {
  const { db } = await connected(await server.createDatabase(), {
    limits: { statementSeconds: 0, batchSeconds: 0, idleTransactionSeconds: LIMIT },
  });
  await db.execute(sql`create table notes (note text)`);
  const idle = db.transaction(async (tx) => {
    await tx.execute(sql`lock table notes`);
    await idle.catch(() => {}); // until it is known to be over
    await tx.execute(sql`insert into notes values ('late')`);
  });
  await expect(idle).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  expect(await rows(db, sql`select note from notes`)).toEqual([]);
});

test('migrations wait for a table only so long, because everybody else waits behind them', async () => {
  const { db } = await connected(await server.createDatabase());
  await migrate(db);
  await db.transaction(async (tx) => {
    await tx.execute(sql`lock table drizzle.__drizzle_migrations`);
    await expect(migrate(db, { lockTimeoutMs: 20 })).rejects.toMatchObject({
      code: 'configuration',
      message:
        'The database: expected a lock on every table to migrate within 20 ms, got none: end the session that holds one (pg_stat_activity), or try again later.',
    });
  });
  expect(await migrate(db, { lockTimeoutMs: 20 })).toBe(0);
});

test('migrations may take longer than a statement of a request: another process that migrates is waited for', async () => {
  const url = await server.createDatabase();
  const { db } = await connected(url, {
    limits: { statementSeconds: LIMIT, batchSeconds: 0, idleTransactionSeconds: 0 },
  });
  const other = await connected(url);
  const migrated = await other.db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${0x4841524e}::bigint)`); // as migrate.ts does
    const waiting = migrate(db);
    await tx.execute(sleep(LONGER));
    return { waiting };
  });
  expect(await migrated.waiting).toBeGreaterThan(0);
});
