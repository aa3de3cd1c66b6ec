/**
 * Rows by COPY, the way in that costs a Postgres server least: text format, one stream per table, all tables in one
 * transaction. It has no ON CONFLICT: a single row that is there already, or does not fit, undoes the transaction. The
 * embedded database does not take it.
 * Source: Postgres documentation, COPY, "Text Format"; "Frontend/Backend Protocol", "COPY Operations".
 */
import { getTableColumns } from 'drizzle-orm';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import { drizzle } from 'drizzle-orm/postgres-js';
import type postgres from 'postgres';
import type { Database } from './connect.ts';

/** Rows of one table in COPY's text format. */
export interface CopyText {
  /** Up to `from stdin`. */
  statement: string;
  text: string;
}

/** A transaction that copies all of these, in order, and then does `work` in it. */
export type CopyTransaction = <T>(tables: readonly CopyText[], work: (tx: Database) => Promise<T>) => Promise<T>;

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const escaped = (text: string) => (/[\\\n\r\t]/.test(text) ? text.replace(/[\\\n\r\t]/g, (c) => ESCAPES[c]!) : text);

function field(value: unknown): string {
  if (value === null || value === undefined) return '\\N';
  if (typeof value === 'string') return escaped(value);
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object' ? escaped(JSON.stringify(value)) : String(value);
}

/** At least one row, and all of them set the same fields. */
export function copyText<T extends PgTable>(table: T, values: readonly T['$inferInsert'][]): CopyText {
  const keys = Object.keys(values[0]!);
  const columns = getTableColumns(table) as Record<string, { name: string }>;
  const names = keys.map((key) => columns[key]!.name).join(', ');
  const lines = values.map((row) => {
    const fields = row as Record<string, unknown>;
    return keys.map((key) => field(fields[key])).join('\t');
  });
  return {
    statement: `copy ${getTableConfig(table).name} (${names}) from stdin`,
    text: `${lines.join('\n')}\n`,
  };
}

/**
 * Copies by a client of a real server. Rejects with the server's error, or with SQLSTATE 25P02 where the driver lost it: it
 * does not tell the stream of a refusal that comes after the last byte, and COMMIT of a failed transaction is answered without
 * an error. So a statement follows the last stream: the server refuses it when it refused any rows.
 */
export function copying(client: postgres.Sql): CopyTransaction {
  return (tables, work) =>
    client.begin(async (transaction) => {
      for (const table of tables) await copy(transaction, table);
      await transaction.unsafe('select');
      // The session of a transaction has no options of its own; drizzle reads those of its client.
      return work(drizzle(Object.assign(transaction, { options: client.options }) as unknown as postgres.Sql));
    }) as Promise<never>;
}

/** Resolves when everything is sent; what the server says to it reaches the next statement. */
async function copy(transaction: postgres.TransactionSql, { statement, text }: CopyText): Promise<void> {
  const stream = await transaction.unsafe(statement).writable();
  await new Promise<void>((resolve, reject) => {
    stream.on('error', reject);
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
  // The driver's stream calls a COPY off whenever it is destroyed, which after its end is in the middle of the next one.
  stream._destroy = (error, done) => done(error);
  stream.end(); // with nothing pending, the end of the data is sent at once, before the next statement
}
