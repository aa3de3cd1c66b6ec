/** What an impression keeps of a query, by the policy of `QUERY_LOG`. */
import { toBase64Url } from '../shared/digest.ts';
import { hmac } from '../shared/signature.ts';
import type { EdgeSettings } from './env.ts';

/**
 * The normalized query itself, or `digest:` and a keyed hash of it: equal queries have equal digests while the signing key
 * is the same, and without the key no list of likely queries tells which is which.
 */
export async function loggedQuery({ queryLog, keys }: EdgeSettings, normalized: string): Promise<string> {
  if (queryLog === 'text') return normalized;
  return `digest:${toBase64Url(await hmac(keys, `query\n${normalized}`)).slice(0, 22)}`;
}
