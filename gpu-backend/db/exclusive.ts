/**
 * Work that one backend of all that share a database does at a time. The lock is Postgres' own and goes with the session, so a
 * process that dies leaves none behind; its transaction only reads, so that nothing waits for it.
 */
import { sql } from 'drizzle-orm';
import { type Connection, type Database, rows } from './connect.ts';
import type { CounterName } from './counters.ts';

/** What {@link Exclusive} answers when another backend is doing the work, or did it a short while ago. */
export const ELSEWHERE: unique symbol = Symbol('another backend is at it');

export type Exclusive = <T>(work: () => Promise<T>) => Promise<T | typeof ELSEWHERE>;

/** `lock` names the work. The embedded database has one process, so that there is nobody to keep out. */
export function exclusively({ batch, kind }: Pick<Connection, 'batch' | 'kind'>, lock: number): Exclusive {
  if (kind === 'pglite') return (work) => work();
  return (work) =>
    batch.transaction(async (tx: Database) => {
      await tx.execute(sql`set local idle_in_transaction_session_timeout = 0`); // a build may take long
      const [row] = await rows<{ held: boolean }>(tx, sql`select pg_try_advisory_xact_lock(${lock}::bigint) as held`);
      return row!.held ? work() : ELSEWHERE;
    });
}

/** The same for what is done again and again: none does it, either, within `everyMs` after another began; `counter` keeps when. */
export function inTurn(
  connection: Pick<Connection, 'batch' | 'kind'>,
  { lock, counter, everyMs }: { lock: number; counter: CounterName; everyMs: number },
): Exclusive {
  const { batch } = connection;
  const alone = exclusively(connection, lock);
  // By the database's clock, which is one for all. What lies ahead of it was written before it was set back.
  const begin = sql`insert into counters (name, value) values (${counter}, floor(extract(epoch from now()) * 1000))
    on conflict (name) do update set value = excluded.value
      where excluded.value - counters.value not between 0 and ${everyMs}::bigint
    returning name`;
  return (work) => alone(async () => ((await rows(batch, begin)).length === 0 ? ELSEWHERE : work()));
}
