/** Bearer keys of programs that cannot sign, such as OpenAI's clients: good for the routes that say so, and for nothing else. */
import { timingSafeEqual } from 'node:crypto';
import { HarnessError } from '../../shared/problem.ts';
import type { KeyRing } from '../../shared/signature.ts';
import type { HeaderReader } from './auth.ts';

export interface ApiKeys {
  /** Id of the key that the request bears, `null` when it bears none; throws `unauthorized` for one that is not known. */
  bearer(headers: HeaderReader): string | null;
}

export function createApiKeys(keys: KeyRing): ApiKeys {
  const known = keys.map(({ id, secret }) => ({ id, secret: Buffer.from(secret) }));
  return {
    bearer(headers) {
      const [scheme = '', token = ''] = (headers.get('authorization') ?? '').split(' ');
      if (scheme.toLowerCase() !== 'bearer') return null;
      // The time reveals how long a secret is and nothing else; digests would hide that too, at ten times the price.
      const given = Buffer.from(token);
      const key = known.find(({ secret }) => secret.length === given.length && timingSafeEqual(secret, given));
      if (key !== undefined) return key.id;
      throw new HarnessError(
        'unauthorized',
        known.length === 0
          ? 'authorization: no bearer key is known here; set HARNESS_API_KEYS on the backend, or sign the request.'
          : 'authorization: expected a secret of HARNESS_API_KEYS, got another.',
      );
    },
  };
}
