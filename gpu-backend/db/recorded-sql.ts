/** The SQL behind a report's numbers: what ran, as text that can be pasted into psql. */
import { type SQL, sql } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import type { Database } from './connect.ts';

const dialect = new PgDialect();

/** A statement with its parameters in their places, without the source code's indentation. */
function printSql(query: SQL): string {
  const { sql: text } = dialect.sqlToQuery(sql`${query}`.inlineParams());
  const lines = text.split('\n').map((line) => line.trimEnd());
  const indents = lines.slice(1).flatMap((line) => (line === '' ? [] : [line.length - line.trimStart().length]));
  const indent = Math.max(0, Math.min(...indents) - 2);
  return lines.map((line, i) => (i === 0 ? line.trim() : line.slice(indent))).join('\n');
}

/** The database, with a list of the statements that are executed through it; those of a transaction are not listed. */
export function recordSql(db: Database): { db: Database; statements: string[] } {
  const statements: string[] = [];
  const recorded = new Proxy(db, {
    get(target, name) {
      if (name === 'execute')
        return (query: SQL) => {
          statements.push(printSql(query));
          return target.execute(query);
        };
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { db: recorded, statements };
}
