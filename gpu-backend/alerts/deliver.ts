/**
 * From the outbox to the operator's webhook, at least once: an alert is leased, posted, and only then marked delivered,
 * so a process that dies in between leaves it to the next. Calls are signed like the edge's; a failed attempt is
 * repeated after a time that doubles, without end.
 */
import { eq, sql } from 'drizzle-orm';
import type { Alert } from '../../shared/contract/alerts.ts';
import { type KeyRing, signRequest } from '../../shared/signature.ts';
import { type Database, rows } from '../db/connect.ts';
import { alerts } from '../db/schema.ts';

export interface DeliveryOptions {
  /** The webhook. */
  url: string;
  keys: KeyRing;
  now: () => number;
  /** Once aborted, it sends no more; what was leased is tried again when its lease is over. */
  signal?: AbortSignal;
  /** Called for each attempt that failed, with what it met. */
  onFailure?: (alert: Alert, reason: string) => void;
}

/** Alerts sent at a time. */
const BATCH = 20;
const TIMEOUT_MS = 5_000;
/** Until then nobody else takes a leased alert: long enough for all of a batch to time out. */
const LEASE_MS = (BATCH + 2) * TIMEOUT_MS;
const [FIRST_RETRY_MS, LONGEST_RETRY_MS] = [5_000, 3_600_000];

/** Time after the failed attempt of that number, which is 1 for the first. */
export const retryAfterMs = (attempt: number): number =>
  Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 20), LONGEST_RETRY_MS);

/** Sends what is due; gives how many were delivered. */
export async function deliverAlerts(db: Database, options: DeliveryOptions): Promise<number> {
  const due = await lease(db, options.now());
  let delivered = 0;
  for (const { key, body, attempts } of due) {
    if (options.signal?.aborted) break;
    const reason = await post(body, options);
    const at = options.now();
    if (reason === undefined) delivered++;
    else options.onFailure?.(body, reason);
    await db
      .update(alerts)
      .set(
        reason === undefined
          ? { deliveredAt: new Date(at), lastError: null }
          : { nextAttemptAt: new Date(at + retryAfterMs(attempts)), lastError: reason },
      )
      .where(eq(alerts.key, key));
  }
  return delivered;
}

/** Takes due alerts, the oldest first, for the time of the lease. */
function lease(db: Database, nowMs: number): Promise<{ key: string; body: Alert; attempts: number }[]> {
  const at = (ms: number) => sql`${new Date(ms).toISOString()}::timestamptz`;
  return rows(
    db,
    sql`update ${alerts} set attempts = attempts + 1, next_attempt_at = ${at(nowMs + LEASE_MS)}
        where key in (select key from ${alerts} where delivered_at is null and next_attempt_at <= ${at(nowMs)}
          order by raised_at, key limit ${BATCH} for update skip locked)
        returning key, body, attempts`,
  );
}

/** Why the webhook did not take it; `undefined` where it did. */
async function post(alert: Alert, { url, keys, now, signal }: DeliveryOptions): Promise<string | undefined> {
  const body = JSON.stringify(alert);
  const { pathname, search } = new URL(url);
  const signed = await signRequest(
    keys,
    { method: 'POST', path: pathname + search, body },
    { nowMs: now(), nonce: crypto.randomUUID() },
  );
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...signed },
      body,
      redirect: 'manual', // a signature is for one address
      signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal === undefined ? [] : [signal])]),
    });
    await answer.body?.cancel();
    return answer.ok ? undefined : `status ${answer.status}`;
  } catch (error) {
    const { message, cause } = error as Error;
    return cause instanceof Error ? cause.message || message : message;
  }
}
