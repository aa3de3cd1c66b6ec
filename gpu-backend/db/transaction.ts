/**
 * Transactions that end with their session. The driver (postgres 3.4) does not see to it: after the connection has
 * closed, further statements, COMMIT and ROLLBACK are written all the same. That fails outside of every promise, which
 * ends the process; and where the driver has reconnected meanwhile, the statement takes effect by itself, outside of
 * any transaction.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type postgres from 'postgres';
import { endsSession } from './sql-error.ts';

type Work = (transaction: postgres.TransactionSql) => Promise<unknown>;

/** Of one transaction: why no more statements may be sent, once that is so. */
interface Session {
  over?: unknown;
}

/**
 * The same client, whose transactions refuse statements with a plain error once their session has ended, or they themselves have.
 * `begin` rejects when the connection has closed, whatever the work does then.
 */
export function endingWithSession(client: postgres.Sql): postgres.Sql {
  const { begin } = client;
  return Object.assign(client, {
    // The options, where there are any, come before the work.
    begin(...args: unknown[]) {
      const session: Session = {};
      const begun: Promise<unknown> = Reflect.apply(begin, client, args.with(-1, within(session, args.at(-1) as Work)));
      const end = (why: unknown) => {
        session.over ??= why ?? new Error('it was committed');
      };
      begun.then(() => end(undefined), end);
      return begun;
    },
  }) as postgres.Sql;
}

/** The work of a transaction or savepoint; where the session ended, the driver is not to follow it with a statement of its own. */
function within(session: Session, work: Work): Work {
  const ended = () => session.over !== undefined;
  return async (transaction) => {
    try {
      const result = await work(refusing(session, transaction));
      if (!ended()) return result;
    } catch (error) {
      // Whose session it was, this one's or another's, is known by the next turn of the event loop.
      if (endsSession(error)) await nextTurn();
      if (!ended()) throw error;
    }
    return new Promise(() => {});
  };
}

/** Statements and savepoints of a transaction, as drizzle and COPY use them. */
function refusing(session: Session, transaction: postgres.TransactionSql): postgres.TransactionSql {
  const { unsafe, savepoint } = transaction;
  const refusal = () => new Error('The transaction is over: its session has ended.', { cause: session.over });
  return Object.assign(transaction, {
    unsafe(...args: unknown[]) {
      if (session.over !== undefined) return refused(refusal());
      const query: ReturnType<typeof unsafe> = Reflect.apply(unsafe, transaction, args);
      query.catch((error) => {
        if (endsSession(error)) session.over ??= error;
      });
      return query;
    },
    savepoint(...args: unknown[]) {
      if (session.over !== undefined) return refused(refusal());
      return Reflect.apply(savepoint, transaction, args.with(-1, within(session, args.at(-1) as Work)));
    },
  }) as postgres.TransactionSql;
}

/** A query that has failed, in each form that one is asked for. */
function refused(error: Error) {
  const failed = Promise.reject(error);
  return Object.assign(failed, { values: () => failed, writable: () => failed });
}
