import { describe, expect, test } from 'vitest';
import { createAuthenticator } from '../../../gpu-backend/http/auth.ts';
import { MAX_SKEW_MS, parseKeyRing, SIGNATURE_HEADERS, signRequest } from '../../../shared/signature.ts';

const keys = parseKeyRing('new:0123456789abcdef,old:fedcba9876543210');
const request = { method: 'POST', path: '/v1/events?x=1', body: '{"a":"ü"}' };
const NOW = 1_800_000_000_000;
const unauthorized = (why: string) => ({ code: 'unauthorized', message: expect.stringContaining(why) });

async function signed(at: { nowMs?: number; nonce?: string } = {}, ring = keys) {
  return new Headers(await signRequest(ring, request, { nowMs: NOW, nonce: 'nonce-0001', ...at }));
}

describe('the authenticator', () => {
  test('lets each of the two keys in', async () => {
    const auth = createAuthenticator({ keys, now: () => NOW });
    await auth.authenticate(request, await signed());
    await auth.authenticate(request, await signed({}, keys.slice(1)));
    await expect(
      auth.authenticate(request, await signed({ nonce: 'nonce-0002' }, parseKeyRing('other:0123456789abcdef'))),
    ).rejects.toMatchObject(unauthorized('unknown key id'));
  });

  test('refuses what was changed under way', async () => {
    const auth = createAuthenticator({ keys, now: () => NOW });
    for (const change of [{ body: '{"a":"u"}' }, { path: '/v1/events?x=2' }, { method: 'PUT' }]) {
      await expect(auth.authenticate({ ...request, ...change }, await signed())).rejects.toMatchObject(
        unauthorized('does not match'),
      );
    }
    const headers = await signed();
    headers.set(SIGNATURE_HEADERS.timestamp, String(NOW + 1));
    await expect(auth.authenticate(request, headers)).rejects.toMatchObject(unauthorized('does not match'));
    await auth.authenticate(request, await signed()); // and none of the refusals used the nonce up
  });

  test('refuses a clock that is off by more than the skew allowed', async () => {
    const auth = createAuthenticator({ keys, now: () => NOW });
    for (const nowMs of [NOW - MAX_SKEW_MS - 1, NOW + MAX_SKEW_MS + 1]) {
      await expect(auth.authenticate(request, await signed({ nowMs }))).rejects.toMatchObject(
        unauthorized('timestamp'),
      );
    }
    await auth.authenticate(request, await signed({ nowMs: NOW - MAX_SKEW_MS }));
  });

  test('refuses a nonce that was used, also from the other end of the skew', async () => {
    let now = NOW;
    const auth = createAuthenticator({ keys, now: () => now });
    const ahead = await signed({ nowMs: NOW + MAX_SKEW_MS });
    await auth.authenticate(request, ahead);
    now = NOW + 2 * MAX_SKEW_MS; // still valid by its timestamp
    await expect(auth.authenticate(request, ahead)).rejects.toMatchObject(unauthorized('used before'));
  });

  test('holds a bounded number of nonces, and still plays none twice', async () => {
    const auth = createAuthenticator({ keys, now: () => NOW, maxNonces: 10 });
    const headers = await Promise.all(
      Array.from({ length: 25 }, (_, i) => signed({ nowMs: NOW - 1_000 + i, nonce: `nonce-${1_000 + i}` })),
    );
    for (const each of headers) await auth.authenticate(request, each);
    for (const each of headers) {
      await expect(auth.authenticate(request, each)).rejects.toMatchObject({ code: 'unauthorized' });
    }
    await expect(auth.authenticate(request, await signed({ nowMs: NOW - 2_000 }))).rejects.toMatchObject(
      unauthorized('under the present load'),
    );
    await auth.authenticate(request, await signed());
  });

  test('asks for all of its headers before anything is read', async () => {
    const auth = createAuthenticator({ keys, now: () => NOW });
    for (const name of Object.values(SIGNATURE_HEADERS)) {
      const headers = await signed();
      headers.delete(name);
      expect(() => auth.requireHeaders(headers)).toThrow(name);
    }
  });
});
