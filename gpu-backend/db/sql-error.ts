/** What a database refused, as opposed to one that is away. Source: Postgres documentation, Appendix A, "Error Codes". */

/** The database's own error under drizzle's: its SQLSTATE and what it says. */
export function refusal(error: unknown): { code: string; message: string } | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    // EPIPE has five letters as well.
    if (typeof code === 'string' && /^(?=.*\d)[0-9A-Z]{5}$/.test(code)) return { code, message: at.message };
  }
  return undefined;
}

/** Data that does not fit: SQLSTATE classes 22, 23 and 54. */
export const isDataError = (error: unknown): boolean => /^(22|23|54)/.test(refusal(error)?.code ?? '');

/** A database that no backend has begun with: it lacks a table (42P01). */
export const isUndefinedTable = (error: unknown): boolean => refusal(error)?.code === '42P01';

/** Of the driver and the system: no connection, or one that broke. */
const BROKEN = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECT_TIMEOUT',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/**
 * A database that cannot be used now and may be later: connection failures (class 08), too many connections, a full disk
 * (53), a server that stops, crashed or starts (57P), one that is a standby (25006).
 */
export const isAway = (error: unknown): boolean =>
  hasCode(error, (code) => BROKEN.has(code) || /^(08...|53...|57P0.|25006)$/.test(code));

/**
 * Work that a server which is there gave up, and may do later: a statement took longer than it may (57014, also when somebody
 * cancelled it) or waited too long for a lock (55P03), or a transaction stood in another's way (class 40).
 */
export const isGivenUp = (error: unknown): boolean => /^(57014|55P03|40...)$/.test(refusal(error)?.code ?? '');

/** The session is over: the connection broke, or the server says that it ends it. */
export const endsSession = (error: unknown): boolean =>
  hasCode(error, (code) => BROKEN.has(code) || /^57P0[12]$/.test(code));

function hasCode(error: unknown, is: (code: string) => boolean): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string' && is(code)) return true;
  }
  return false;
}

/** The root cause: drizzle wraps the driver's error, the driver wraps the system's. One line. */
export function reasonOf(error: unknown): string {
  const { message, code, cause } = error as { message?: string; code?: string; cause?: unknown };
  if (cause instanceof Error) return reasonOf(cause);
  return (message || code || String(error)).split('\n')[0]!;
}
