/**
 * Many rows in one parameter: the rows travel as one JSON array that Postgres unfolds (`jsonb_populate_recordset`). A
 * multi-row VALUES list needs one parameter per field, which costs several times more to build and is limited to
 * 65,535.
 */
import { getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';

/** Rows of a table as a FROM item named like the table's row type; fields left out are null. */
export function recordset<T extends PgTable>(table: T, values: readonly T['$inferInsert'][]): SQL {
  const columns = Object.entries(getTableColumns(table));
  const json = JSON.stringify(
    values.map((row) =>
      Object.fromEntries(
        columns.map(([key, { name }]) => [name, literal((row as Record<string, unknown>)[key])] as const),
      ),
    ),
  );
  return sql`jsonb_populate_recordset(null::${table}, ${json}::text::jsonb)`;
}

/** The column names that the row sets, for `insert into t (...)`; qualified when a source is named. */
export function columnsOf<T extends PgTable>(table: T, row: T['$inferInsert'], source?: string): SQL {
  const columns = getTableColumns(table) as Record<string, { name: string }>;
  const prefix = source === undefined ? sql`` : sql`${sql.identifier(source)}.`;
  return sql.join(
    Object.keys(row).map((key) => sql`${prefix}${sql.identifier(columns[key]!.name)}`),
    sql`, `,
  );
}

/** `insert into table (...) select ... from rows`, to be continued with `on conflict`, `returning`. All rows set the same fields. */
export function insertRecords<T extends PgTable>(table: T, values: readonly T['$inferInsert'][]): SQL {
  const columns = columnsOf(table, values[0]!);
  return sql`insert into ${table} (${columns}) select ${columns} from ${recordset(table, values)}`;
}

function literal(value: unknown): unknown {
  return value instanceof Int8Array
    ? `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
    : value;
}
