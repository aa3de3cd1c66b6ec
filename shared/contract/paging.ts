/**
 * Lists that come in pages by keyset: the first `limit` entries behind the key `after`, in the order of keys, which is
 * stable while entries come and go.
 */
import * as z from 'zod';

const MOST = 10_000;
const Limit = z.coerce
  .number()
  .int()
  .min(1, `expected a number of entries from 1 to ${MOST}`)
  .max(MOST, `expected a number of entries from 1 to ${MOST}`)
  .default(1_000);

/** The query string of such a list. */
export const pageBehind = <K extends z.ZodType>(key: K) => z.object({ limit: Limit, after: key.optional() });

/** Part of the answer: what to ask for as `after` to have the next page; `null` after the last. */
export const nextPage = <K extends z.ZodType>(key: K) => ({ next: key.nullable() });

/** A page of entries in order; `found` may hold more than `limit`, and must hold one more where there is a next page. */
export function firstPage<T, K>(
  found: readonly T[],
  { limit, keyOf }: { limit: number; keyOf: (entry: T) => K },
): { entries: T[]; next: K | null } {
  const entries = found.slice(0, limit);
  return { entries, next: found.length > limit ? keyOf(entries.at(-1)!) : null };
}
