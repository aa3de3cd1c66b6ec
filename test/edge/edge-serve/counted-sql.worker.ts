/** The SQLite of a Durable Object, and how many rows it has read. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import type { Sql } from '../../../edge/outbox/shelf.ts';

export interface CountedSql extends Sql {
  readonly rowsRead: number;
}

/** Runs with the database of an object of that name, which is empty. */
export function withSql(name: string, act: (sql: CountedSql) => Promise<void>): Promise<void> {
  const { OUTBOX } = env as unknown as { OUTBOX: DurableObjectNamespace };
  return runInDurableObject(OUTBOX.get(OUTBOX.idFromName(name)) as never, (_, { storage }) => {
    let rowsRead = 0;
    return act({
      exec(query, ...bindings) {
        const cursor = storage.sql.exec(query, ...bindings);
        const rows = cursor.toArray();
        rowsRead += cursor.rowsRead;
        return { toArray: () => rows };
      },
      get rowsRead() {
        return rowsRead;
      },
    });
  });
}
