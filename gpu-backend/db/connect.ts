/**
 * One driver, two databases: Postgres compiled to WebAssembly inside the data folder (pglite.ts), or a real server.
 * Everything else in the backend sees the Database type only.
 */
import { mkdirSync } from 'node:fs';
import { connect as openSocket, type Socket } from 'node:net';
import { join } from 'node:path';
import { type SQL, sql } from 'drizzle-orm';
import type { PgDatabase } from 'drizzle-orm/pg-core';
import { drizzle, type PostgresJsQueryResultHKT } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { HarnessError } from '../../shared/problem.ts';
import { type CopyTransaction, copying } from './copy.ts';
import type { DataFolder } from './data-folder.ts';
import { startPglite } from './pglite.ts';
import { endsSession, reasonOf } from './sql-error.ts';

/**
 * What queries are written against; a transaction is one too. Inside a transaction use its own handle only: the embedded
 * database has a single session, and a query beside the transaction would wait for it for ever.
 */
export type Database = PgDatabase<PostgresJsQueryResultHKT>;

export interface Connection {
  readonly db: Database;
  readonly kind: 'pglite' | 'postgres';
  /** Many rows at once, where the database takes COPY. */
  readonly copying: CopyTransaction | undefined;
  /** Finishes running queries, then lets go. */
  close(): Promise<void>;
}

/** Oldest server that the migrations and queries are tested for. */
const MINIMUM_VERSION = 15;
/** Seconds until a lost connection is tried again: the driver's own go up to 20, and what is asked meanwhile waits. */
const backoff = (attempt: number) => Math.min(0.1 * 2 ** attempt, 1);
const quiet = { onnotice: () => {} };

/** Where the driver would go itself, a place an attempt. */
interface Places {
  host: string[];
  port: number[];
  /** Of a Unix socket, in place of the others. */
  path: string | false;
}

/** The driver's option for sockets of one's own, which its typings leave out. */
const over = (socket: (places: Places) => unknown) => ({ socket }) as object;

/**
 * Sockets that send at once. The driver sends a COPY, and any large statement, in several writes: by Nagle's algorithm (RFC 896)
 * the last of them waits for the server's acknowledgement, which a server that itself waits for that write delays by 40 ms.
 */
function undelayed(): (places: Places) => Socket {
  let attempts = 0;
  return ({ host: hosts, port: ports, path }) => {
    const at = attempts++ % hosts.length;
    const [host, port] = [hosts[at]!, ports[at]!];
    const socket = openSocket(path ? { path } : { host, port }).setNoDelay();
    return Object.assign(socket, { host }); // the name that a certificate must have
  };
}

/**
 * Transactions that end with their session. The driver sends ROLLBACK after any failure, over a connection that is gone as well,
 * and that fails outside of every promise, which ends the process. So the failure is held back: `begin` rejects when the
 * connection has closed.
 */
function rollingBackWhatIsThere(client: postgres.Sql): postgres.Sql {
  type Work = (transaction: postgres.TransactionSql) => Promise<unknown>;
  const { begin } = client;
  const patient =
    (work: Work): Work =>
    async (transaction) => {
      try {
        return await work(transaction);
      } catch (error) {
        if (endsSession(error)) return new Promise(() => {});
        throw error;
      }
    };
  // The options, where there are any, come before the work.
  const beginning = (...args: unknown[]) => Reflect.apply(begin, client, args.with(-1, patient(args.at(-1) as Work)));
  return Object.assign(client, { begin: beginning });
}

/** PGlite in `<folder>/pglite`; the folder's lock must be held, because PGlite has none of its own. */
export async function openPglite(folder: DataFolder, onRestart: () => void = () => {}): Promise<Connection> {
  const dir = join(folder.path, 'pglite');
  mkdirSync(dir, { recursive: true });
  const embedded = await startPglite(dir, onRestart).catch((cause: unknown) => {
    throw new HarnessError(
      'configuration',
      `${dir}: expected a database that this version can open, got: ${reasonOf(cause)}; move the folder away to start afresh.`,
      { cause },
    );
  });
  const client = postgres({
    ...quiet,
    max: 1,
    user: 'postgres',
    database: 'postgres',
    ...over(() => embedded.socket()),
  });
  return {
    db: drizzle(client),
    kind: 'pglite',
    copying: undefined,
    async close() {
      await client.end({ timeout: 1 });
      await embedded.close();
    },
  };
}

/** A real server; throws `configuration` in one line, without the password, when it cannot be used. */
export async function openPostgres(url: string): Promise<Connection> {
  const where = placeOf(url);
  const client = rollingBackWhatIsThere(
    postgres(url, { ...quiet, max: 10, connect_timeout: 5, backoff, ...over(undelayed()) }),
  );
  const db = drizzle(client);
  try {
    const [row] = await rows<{ version: number }>(
      db,
      sql`select current_setting('server_version_num')::int / 10000 as version`,
    );
    if (row!.version < MINIMUM_VERSION) throw new Error(`it runs version ${row!.version}`);
  } catch (cause) {
    await client.end({ timeout: 0 });
    throw new HarnessError(
      'configuration',
      `DATABASE_URL: expected a reachable Postgres ${MINIMUM_VERSION} or newer at ${where}, got: ${reasonOf(cause)}; unset it to use the embedded database.`,
      { cause },
    );
  }
  return { db, kind: 'postgres', copying: copying(client), close: () => client.end({ timeout: 1 }) };
}

/** The real server when a URL is given, the embedded database of the folder otherwise. */
export function connect(options: {
  url: string | undefined;
  folder: DataFolder;
  /** Called when the embedded database had died and was opened again. */
  onRestart?: () => void;
}): Promise<Connection> {
  return options.url === undefined ? openPglite(options.folder, options.onRestart) : openPostgres(options.url);
}

/**
 * Rows of raw SQL. Instants come back as text and `bigint` (so, `count(*)` and sums) as strings: cast in the query, for
 * example `count(*)::int`, `sum(x)::float8`, `extract(epoch from at)::float8`.
 */
export async function rows<T extends object>(db: Database, query: SQL): Promise<T[]> {
  return (await db.execute(query)) as unknown as T[];
}

function placeOf(url: string): string {
  const { protocol, host, pathname } = URL.parse(url) ?? {};
  if (protocol === undefined || !/^postgres(ql)?:$/.test(protocol))
    throw new HarnessError('configuration', 'DATABASE_URL: expected postgres://user:password@host:port/database.');
  return `${host}${pathname}`;
}
