/**
 * One Database type over two drivers: PGlite (Postgres compiled to WebAssembly) inside the data folder, or a real server
 * through postgres.js. Everything else in the backend sees the type only.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { type SQL, sql } from 'drizzle-orm';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite';
import { drizzle as drizzlePostgres } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { HarnessError } from '../../shared/problem.ts';
import type { DataFolder } from './data-folder.ts';

/** What queries are written against; a transaction is one too. For raw SQL use {@link rows}. */
export type Database = PgDatabase<PgQueryResultHKT, Record<string, never>>;

export interface Connection {
  readonly db: Database;
  readonly kind: 'pglite' | 'postgres';
  /** Finishes running queries, then lets go. */
  close(): Promise<void>;
}

/** Oldest server that the migrations and queries are tested for. */
const MINIMUM_VERSION = 15;

/** PGlite in `<folder>/pglite`; the folder's lock must be held, because PGlite has no lock of its own. */
export async function openPglite(folder: DataFolder): Promise<Connection> {
  const dir = join(folder.path, 'pglite');
  mkdirSync(dir, { recursive: true });
  let client: PGlite;
  try {
    client = await PGlite.create(dir);
  } catch (cause) {
    throw new HarnessError(
      'configuration',
      `${dir}: expected a database of this version, it cannot be opened (${firstLine(cause)}); move the folder away to start afresh.`,
      { cause },
    );
  }
  return { db: drizzlePglite(client) as unknown as Database, kind: 'pglite', close: () => client.close() };
}

/** A real server; throws `configuration` in one line, without the password, when it cannot be used. */
export async function openPostgres(url: string): Promise<Connection> {
  const where = describe(url);
  const client = postgres(url, { max: 10, connect_timeout: 5, onnotice: () => {} });
  const db = drizzlePostgres(client) as unknown as Database;
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
      `DATABASE_URL: expected a reachable Postgres ${MINIMUM_VERSION} or newer at ${where}, got: ${firstLine(cause)}; unset it to use the embedded database.`,
      { cause },
    );
  }
  return { db, kind: 'postgres', close: () => client.end({ timeout: 2 }) };
}

/** The real server when a URL is given, the embedded database of the folder otherwise. */
export function connect(options: { url: string | undefined; folder: DataFolder }): Promise<Connection> {
  return options.url === undefined ? openPglite(options.folder) : openPostgres(options.url);
}

/**
 * Runs raw SQL and returns its rows on both drivers. Cast what the drivers read differently: counts and bigint with
 * `::int` or `::float8`, instants with `extract(epoch from ...)::float8` or `::text`.
 */
export async function rows<T extends object>(db: Database, query: SQL): Promise<T[]> {
  const result = (await db.execute(query)) as unknown as T[] | { rows: T[] };
  return Array.isArray(result) ? result : result.rows;
}

function describe(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    if (!/^postgres(ql)?:$/.test(protocol)) throw new Error(protocol);
    return `${host}${pathname}`;
  } catch {
    throw new HarnessError('configuration', 'DATABASE_URL: expected postgres://user:password@host:port/database.');
  }
}

/** What went wrong at the bottom of it: drizzle wraps the driver's error, the driver wraps the system's. */
function firstLine(error: unknown): string {
  const { message, code, cause } = error as { message?: string; code?: string; cause?: unknown };
  if (cause instanceof Error) return firstLine(cause);
  return (message || code || String(error)).split('\n')[0]!;
}
