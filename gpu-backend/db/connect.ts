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
import { reasonOf } from './sql-error.ts';
import { endingWithSession } from './transaction.ts';

/**
 * What queries are written against; a transaction is one too. Inside a transaction use its own handle only: the embedded
 * database has a single session, and a query beside the transaction would wait for it for ever.
 */
export type Database = PgDatabase<PostgresJsQueryResultHKT>;

export interface Connection {
  readonly db: Database;
  /** The same database for work that takes long: sessions of its own with a limit of their own, so that no request waits for it. */
  readonly batch: Database;
  readonly kind: 'pglite' | 'postgres';
  /** Many rows at once, where the database takes COPY. */
  readonly copying: CopyTransaction | undefined;
  /** Finishes running queries, then lets go. */
  close(): Promise<void>;
}

/**
 * What a server ends by itself, in seconds; 0 is never. What `DATABASE_URL` itself says (`?statement_timeout=`) takes
 * precedence.
 */
export interface SessionLimits {
  /** A statement of a request. */
  statementSeconds: number;
  /** A statement of {@link Connection.batch}. */
  batchSeconds: number;
  /** A transaction between two statements; one of {@link Connection.batch} may take as long there as a statement. */
  idleTransactionSeconds: number;
}

export interface OpenPostgresOptions {
  /** The program's name among the server's sessions; `harness` unless given. */
  application?: string;
  /** Absent: the server's own. */
  limits?: SessionLimits;
}

/** Sessions at most: of requests, of {@link Connection.batch}. */
const [REQUEST_SESSIONS, BATCH_SESSIONS] = [10, 5];

/** Oldest server that the migrations and queries are tested for. */
const MINIMUM_VERSION = 15;
/** Seconds until a lost connection is tried again: the driver's own go up to 20, and what is asked meanwhile waits. */
const backoff = (attempt: number) => Math.min(0.1 * 2 ** attempt, 1);
/**
 * Nobody reads notices. And the driver asks every new session for the types of arrays with nobody awaiting the answer,
 * so that a connection that breaks meanwhile would end the process.
 */
const quiet = { onnotice: () => {}, fetch_types: false };

/** Where the driver would go itself, a place an attempt. */
interface Places {
  host: string[];
  port: number[];
  /** Of a Unix socket, in place of the others. */
  path: string | false;
}

/** How often a session's silence is looked at. */
const LOOK_MS = 500;
/** How long it takes to connect at most. */
const CONNECT_SECONDS = 5;

/** The driver's option for your own sockets, which its typings leave out. */
const over = (socket: (places: Places) => unknown) => ({ socket }) as object;

/**
 * Sockets that send at once. The driver sends a COPY, and any large statement, in several writes: by Nagle's algorithm (RFC 896)
 * the last of them waits for the server's acknowledgement, which a server that itself waits for that write delays by 40 ms.
 */
function undelayed(silenceMs?: () => number): (places: Places) => Socket {
  let attempts = 0;
  return ({ host: hosts, port: ports, path }) => {
    const at = attempts++ % hosts.length;
    const [host, port] = [hosts[at]!, ports[at]!];
    const socket = openSocket(path ? { path } : { host, port }).setNoDelay();
    if (silenceMs !== undefined) closeInSilence(socket, silenceMs);
    return Object.assign(socket, { host }); // the name that a certificate must have
  };
}

/**
 * Closes a socket, an idle one too, that has received nothing for so long. A server that vanished without a word looks
 * like one that is working, and the kernel repeats what was sent to it for a quarter of an hour. Bytes are compared,
 * because under TLS the socket has no events; and looks are counted, because nothing is read while this process is held
 * up.
 */
function closeInSilence(socket: Socket, silenceMs: () => number): void {
  let [received, looks] = [0, 0];
  const looking = setInterval(() => {
    looks = socket.bytesRead === received ? looks + 1 : 0;
    received = socket.bytesRead;
    if (looks * LOOK_MS >= silenceMs()) socket.destroy();
    if (socket.destroyed) clearInterval(looking);
  }, LOOK_MS).unref();
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
  const client = endingWithSession(
    postgres({ ...quiet, max: 1, user: 'postgres', database: 'postgres', ...over(() => embedded.socket()) }),
  );
  const db = drizzle(client);
  return {
    db,
    batch: db,
    kind: 'pglite',
    copying: undefined,
    async close() {
      await client.end({ timeout: 1 });
      await embedded.close();
    },
  };
}

/** A real server; throws `configuration` in one line, without the password, when it cannot be used. */
export async function openPostgres(
  url: string,
  { application = 'harness', limits }: OpenPostgresOptions = {},
): Promise<Connection> {
  const where = placeOf(url);
  const open = (options: {
    max: number;
    name: string;
    statement: number | undefined;
    idle: number | undefined;
    socket: (places: Places) => Socket;
  }) => {
    const { max, name, statement, idle, socket } = options;
    const connection = {
      application_name: name,
      ...(statement !== undefined && { statement_timeout: statement * 1_000 }),
      ...(idle !== undefined && { idle_in_transaction_session_timeout: idle * 1_000 }),
    };
    return endingWithSession(
      postgres(url, { ...quiet, max, connection, connect_timeout: CONNECT_SECONDS, backoff, ...over(socket) }),
    );
  };
  const { statementSeconds, batchSeconds, idleTransactionSeconds } = limits ?? {};
  let silenceMs = Number.POSITIVE_INFINITY;
  const client = open({
    max: REQUEST_SESSIONS,
    name: application,
    statement: statementSeconds,
    idle: idleTransactionSeconds,
    socket: undelayed(limits && (() => silenceMs)),
  });
  const batch = open({
    max: BATCH_SESSIONS,
    name: `${application}-batch`,
    statement: batchSeconds,
    idle: batchSeconds,
    socket: undelayed(), // a report may be silent for longer than the kernel waits
  });
  const db = drizzle(client);
  try {
    const [row] = await rows<{ version: number; limits: number[] }>(
      db,
      sql`select current_setting('server_version_num')::int / 10000 as version, (select json_agg(setting::int) from pg_settings
        where name in ('statement_timeout', 'idle_in_transaction_session_timeout')) as limits`,
    );
    // 0 is none. Longer than connecting takes, which the driver would otherwise begin again for whoever waits for it.
    if (row!.limits.every((ms) => ms > 0)) silenceMs = Math.max(...row!.limits) + CONNECT_SECONDS * 1_000;
    if (row!.version < MINIMUM_VERSION) throw new Error(`it runs version ${row!.version}`);
  } catch (cause) {
    await client.end({ timeout: 0 });
    throw new HarnessError(
      'configuration',
      `DATABASE_URL: expected a reachable Postgres ${MINIMUM_VERSION} or newer at ${where}, got: ${reasonOf(cause)}; unset it to use the embedded database.`,
      { cause },
    );
  }
  return {
    db,
    batch: drizzle(batch),
    kind: 'postgres',
    copying: copying(client),
    async close() {
      await Promise.all([client, batch].map((each) => each.end({ timeout: 1 })));
    },
  };
}

/** The real server when a URL is given, the embedded database of the folder otherwise. */
export function connect(options: {
  url: string | undefined;
  folder: DataFolder;
  /** Of a real server's sessions. */
  limits: SessionLimits;
  /** Called when the embedded database had died and was opened again. */
  onRestart?: () => void;
}): Promise<Connection> {
  const { url, folder, limits, onRestart } = options;
  return url === undefined ? openPglite(folder, onRestart) : openPostgres(url, { limits });
}

/**
 * Rows of raw SQL. Instants come back as text and `bigint` (so, `count(*)` and sums) as strings: cast in the query, for
 * example `count(*)::int`, `sum(x)::float8`, `extract(epoch from at)::float8`.
 */
export async function rows<T extends object>(db: Database, query: SQL): Promise<T[]> {
  return (await db.execute(query)) as unknown as T[];
}

/** Whole UTC milliseconds of an instant, exact in a double. */
export const millis = (at: SQL): SQL => sql`round(extract(epoch from ${at}) * 1000)::float8`;

function placeOf(url: string): string {
  const { protocol, host, pathname } = URL.parse(url) ?? {};
  if (protocol === undefined || !/^postgres(ql)?:$/.test(protocol))
    throw new HarnessError('configuration', 'DATABASE_URL: expected postgres://user:password@host:port/database.');
  return `${host}${pathname}`;
}
