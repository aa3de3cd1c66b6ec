/**
 * Numbers that only grow. A counter is raised inside the transaction that it counts: the row's lock makes such
 * transactions commit in the counter's order, so a reader who has seen n has seen everything up to n.
 */
import { sql } from 'drizzle-orm';
import { type Database, rows } from './connect.ts';
import type { counters } from './schema.ts';

export type CounterName = (typeof counters.$inferSelect)['name'];

/** The next value; the first is 1. */
export async function raise(tx: Database, name: CounterName): Promise<number> {
  const [row] = await rows<{ value: number }>(
    tx,
    sql`insert into counters (name, value) values (${name}, 1)
        on conflict (name) do update set value = counters.value + 1 returning value::float8 as value`,
  );
  return row!.value;
}

/** The value reached, 0 before the first {@link raise}. */
export async function reached(db: Database, name: CounterName): Promise<number> {
  const [row] = await rows<{ value: number }>(
    db,
    sql`select value::float8 as value from counters where name = ${name}`,
  );
  return row?.value ?? 0;
}
