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
