/**
 * Who may call: signed requests (shared/signature), each once. Nonces are remembered for as long as their signature is
 * valid, within a bound; when the bound forces one out early, everything as old as it is refused from then on, so that
 * memory is bounded and no request can be replayed.
 */
import { LRUCache } from 'lru-cache';
import { HarnessError } from '../../shared/problem.ts';
import {
  type KeyRing,
  MAX_SKEW_MS,
  SIGNATURE_HEADERS,
  type SignedRequest,
  verifyRequest,
} from '../../shared/signature.ts';

/** Reads headers; a WHATWG `Headers` is one. */
export interface HeaderReader {
  get(name: string): string | null | undefined;
}

export interface Authenticator {
  /** Throws `unauthorized` when the signature's headers are missing: cheap, before a body is read. */
  requireHeaders(headers: HeaderReader): void;
  /** Throws `unauthorized` unless the headers sign this request and it is the first of its nonce. */
  authenticate(request: SignedRequest, headers: HeaderReader): Promise<void>;
}

/** About 20 MB when full; at 1,000 requests/s no nonce leaves early. */
const MAX_NONCES = 120_000;

export function createAuthenticator(options: { keys: KeyRing; now: () => number; maxNonces?: number }): Authenticator {
  const { keys, now, maxNonces = MAX_NONCES } = options;
  let refusedUpTo = 0;
  const seen = new LRUCache<string, number>({
    max: maxNonces,
    dispose: (timestamp, _nonce, reason) => {
      if (reason === 'evict') refusedUpTo = Math.max(refusedUpTo, timestamp);
    },
  });
  return {
    requireHeaders(headers) {
      for (const name of Object.values(SIGNATURE_HEADERS)) {
        if (!headers.get(name))
          throw new HarnessError(
            'unauthorized',
            `Signature refused: expected the header ${name}; docs/api.md says how a call is signed.`,
          );
      }
    },
    async authenticate(request, headers) {
      const nonce = await verifyRequest(keys, request, headers, now());
      const timestamp = Number(headers.get(SIGNATURE_HEADERS.timestamp));
      const key = `${headers.get(SIGNATURE_HEADERS.keyId)} ${nonce}`;
      if (seen.has(key)) throw new HarnessError('unauthorized', 'Signature refused: its nonce was used before.');
      if (timestamp <= refusedUpTo) {
        throw new HarnessError(
          'unauthorized',
          `Signature refused: under the present load only requests younger than ${Math.min(MAX_SKEW_MS, now() - refusedUpTo)} ms are accepted.`,
        );
      }
      seen.set(key, timestamp);
    },
  };
}
