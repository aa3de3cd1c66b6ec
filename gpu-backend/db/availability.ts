/**
 * Whether the database is there. The first call that finds it away says so; from then on calls fail at once instead of
 * each waiting for a connection, and one question per second finds out when it is back.
 */
import { sql } from 'drizzle-orm';
import { HarnessError } from '../../shared/problem.ts';
import { span } from '../tracing/span.ts';
import type { Database } from './connect.ts';
import { isAway, isGivenUp, reasonOf } from './sql-error.ts';

export interface Availability {
  /** Why the database is away; `undefined` when it is there, as far as is known. */
  away(): string | undefined;
  /**
   * The work's outcome, or `not_ready` at once while the database is away, and when the work finds it so. Where work
   * has a deadline, a database that takes longer counts as away, and so does one that gives up the work itself.
   */
  guard<T>(work: () => Promise<T>, options?: { deadlineMs: number }): Promise<T>;
  /** Asks no more. */
  close(): void;
}

export interface AvailabilityOptions {
  db: Database;
  /** From one question to the next while it is away. */
  everyMs: number;
  onAway: (reason: string) => void;
  onBack: () => void;
}

/** What callers get while the database is away, and what sets it apart from other problems. */
export class DatabaseAway extends HarnessError {
  constructor(reason: string, cause?: unknown) {
    super('not_ready', `The database is away (${reason}); what needs it waits until it is back.`, {
      retryAfterSeconds: 2,
      cause,
    });
  }
}

/** How long a question may take. */
const ANSWER_MS = 3_000;

export function watchAvailability({ db, everyMs, onAway, onBack }: AvailabilityOptions): Availability {
  let reason: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const ask = () => {
    timer = setTimeout(async () => {
      try {
        await within(db.execute(sql`select 1`), ANSWER_MS);
      } catch {
        ask(); // said once, when it went
        return;
      }
      if (closed) return;
      reason = undefined;
      onBack();
    }, everyMs);
    timer.unref();
    if (closed) clearTimeout(timer);
  };
  const lose = (why: string) => {
    if (reason !== undefined || closed) return;
    reason = why;
    onAway(why);
    ask();
  };

  return {
    away: () => reason,
    async guard(work, { deadlineMs } = { deadlineMs: Number.POSITIVE_INFINITY }) {
      if (reason !== undefined) throw new DatabaseAway(reason);
      try {
        return await span('database', () => within(work(), deadlineMs));
      } catch (error) {
        const late = deadlineMs < Number.POSITIVE_INFINITY && isGivenUp(error);
        if (error instanceof DatabaseAway || !(late || isAway(error))) throw error;
        const why = reasonOf(error);
        lose(why);
        throw new DatabaseAway(why, error);
      }
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** The outcome, unless it takes longer; what comes later is dropped. */
async function within<T>(work: PromiseLike<T>, deadlineMs: number): Promise<T> {
  if (deadlineMs === Number.POSITIVE_INFINITY) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = Object.assign(new Error(`no answer within ${deadlineMs} ms`), { code: 'ETIMEDOUT' });
    timer = setTimeout(() => reject(error), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
