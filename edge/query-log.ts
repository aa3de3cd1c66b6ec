/** What an impression keeps of a query, by the policy of `QUERY_LOG`: of its words, and of the units that are queries. */
import { toBase64Url } from '../shared/digest.ts';
import type { Assignment } from '../shared/experiment.ts';
import { hmac, type KeyRing } from '../shared/signature.ts';
import type { EdgeSettings } from './env.ts';

export interface LoggedQuery {
  /** Normalized, or `digest:` and its keyed hash. */
  query: string;
  assignments: Assignment[];
}

/** Equal texts have equal hashes while the signing key is the same; without the key no list of likely ones tells which is which. */
const keyed = async (keys: KeyRing, text: string) => toBase64Url(await hmac(keys, text)).slice(0, 22);

/** `given`: the normalized query, and the arms as they were drawn. */
export async function loggedQuery({ queryLog, keys }: EdgeSettings, given: LoggedQuery): Promise<LoggedQuery> {
  if (queryLog === 'text') return given;
  // A unit that is a query was drawn by a digest that anybody can compute, so that it is the same under every key.
  // A window of a switchback is nobody's secret.
  const assignments = given.assignments.map(async (each) =>
    each.unitId === undefined || each.washout !== undefined
      ? each
      : { ...each, unitId: await keyed(keys, `query-unit\n${each.unitId}`) },
  );
  return { query: `digest:${await keyed(keys, `query\n${given.query}`)}`, assignments: await Promise.all(assignments) };
}
