/**
 * Transactions whose session ends, on a real server. What the driver writes to a connection that is gone fails outside of every
 * promise: vitest, like Node, ends on that.
 */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Connection, type Database, openPostgres, rows } from '../../../gpu-backend/db/connect.ts';
import { copyText } from '../../../gpu-backend/db/copy.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { missingExposures } from '../../../gpu-backend/db/schema.ts';
import { type PostgresServer, startPostgresServer } from '../../setup/postgres-server.ts';

let server: PostgresServer;
let connection: Connection;
let db: Database;
beforeAll(async () => {
  server = await startPostgresServer();
  connection = await openPostgres(await server.createDatabase());
  db = connection.db;
  await migrate(db);
  await db.execute(sql`create table notes (note text)`);
});
afterAll(async () => {
  await connection.close();
  await server.stop();
});

const END = sql`select pg_terminate_backend(pg_backend_pid())`;
const OVER = 'The transaction is over: its session has ended.';

async function endFromOutside(tx: Database): Promise<void> {
  const [{ pid } = { pid: 0 }] = await rows<{ pid: number }>(tx, sql`select pg_backend_pid() as pid`);
  await db.execute(sql`select pg_terminate_backend(${pid}::int)`);
}

const notes = async () => (await rows<{ note: string }>(db, sql`select note from notes`)).map(({ note }) => note);

/** Statements over as many sessions as there are: after a failure at first, as the driver tells a new session of the last one's end. */
async function everySession(): Promise<void> {
  const statements = () => Array.from({ length: 12 }, () => db.execute(sql`select pg_sleep(0.01)`));
  await Promise.allSettled(statements());
  await Promise.all(statements());
}

/** A transaction, and its work with a way to wait for its end. */
function transacting(work: (tx: Database, over: () => Promise<unknown>) => Promise<unknown>): Promise<unknown> {
  const transaction: Promise<unknown> = db.transaction((tx) => work(tx, () => transaction.catch(() => {})));
  return transaction;
}

/** What becomes of a transaction, and of what its work did. */
async function outcome(work: (tx: Database, over: () => Promise<unknown>) => Promise<unknown>) {
  const worked = vi.fn<(what: string) => void>();
  const transaction = transacting(async (tx, over) => {
    await tx.execute(sql`insert into notes values ('within')`);
    return work(tx, over).then(
      () => worked('done'),
      (error: Error) => {
        const { message, cause } = error;
        worked(message === OVER ? message : (cause as Error).message); // drizzle wraps
        throw error;
      },
    );
  });
  await expect(transaction).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  await expect.poll(() => worked).toHaveBeenCalledOnce();
  await everySession();
  expect(await notes()).toEqual([]);
  return worked.mock.calls[0]![0];
}

test('a statement that ends the session, and what the work does after it', async () => {
  expect(await outcome((tx) => tx.execute(END))).toMatch('CONNECTION_CLOSED');
  const goesOn = outcome(async (tx) => {
    await tx.execute(END).catch(() => {});
    await tx.execute(sql`insert into notes values ('after')`);
  });
  expect(await goesOn).toBe(OVER);
});

test('a session that ends between two statements refuses the second, also when it has a successor by then', async () => {
  const between = (last: (tx: Database) => Promise<unknown>) =>
    outcome(async (tx, over) => {
      await endFromOutside(tx);
      await over();
      await everySession();
      await last(tx);
    });
  expect(await between((tx) => tx.execute(sql`insert into notes values ('after')`))).toBe(OVER);
  expect(await between((tx) => tx.select({ at: missingExposures.at }).from(missingExposures))).toBe(OVER);
  expect(await between((tx) => tx.transaction((inner) => inner.execute(sql`select 1`)))).toBe(OVER);
});

test('a session that ends before COMMIT commits nothing, and says so', async () => {
  const transaction = transacting(async (tx, over) => {
    await tx.execute(sql`insert into notes values ('within')`);
    await endFromOutside(tx);
    await over();
    return 'done';
  });
  await expect(transaction).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  expect(await notes()).toEqual([]);
});

test('a session that ends inside a savepoint, which the driver would roll back to', async () => {
  const transaction = transacting((tx, over) =>
    tx.transaction(async (inner) => {
      await endFromOutside(inner);
      await over();
      await inner.execute(sql`select 1`);
    }),
  );
  await expect(transaction).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  await everySession();
});

test('a copy whose session ends is refused, and the next ones have another session', async () => {
  const exposure = { impressionId: 'impression-1', experiment: 'e', arm: 'a', at: new Date(0) };
  const table = copyText(missingExposures, [exposure]);
  for (let turn = 0; turn < 5; turn++) {
    const ended = connection.copying!([table], (tx) => tx.execute(END));
    await expect(ended).rejects.toThrow();
    expect(await connection.copying!([], (tx) => rows(tx, sql`select 1 as one`))).toEqual([{ one: 1 }]);
  }
  expect(await rows(db, sql`select from ${missingExposures}`)).toHaveLength(0);
});

test("another session's end is an error like any other: the transaction is rolled back, and the session serves on", async () => {
  const gone = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const transaction = db.transaction(async (tx) => {
    await tx.execute(sql`insert into notes values ('within')`);
    throw gone;
  });
  await expect(transaction).rejects.toBe(gone);
  expect(await notes()).toEqual([]);
});

test('a statement that comes after its transaction is refused', async () => {
  let kept: Database | undefined;
  await db.transaction(async (tx) => {
    kept = tx;
  });
  await expect(kept!.execute(sql`insert into notes values ('late')`)).rejects.toMatchObject({
    cause: { message: OVER },
  });
  expect(await notes()).toEqual([]);
});
