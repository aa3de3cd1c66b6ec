import { createHash, createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { HarnessError } from '../../shared/problem.ts';
import {
  type KeyRing,
  MAX_SKEW_MS,
  parseKeyRing,
  SIGNATURE_HEADERS,
  signRequest,
  signToken,
  tokenHead,
  tokenTail,
  verifyRequest,
  verifyToken,
} from '../../shared/signature.ts';

const ring: KeyRing = [{ id: 'k1', secret: 'a secret of enough length' }];
const nowMs = 1_800_000_000_000;
const request = { method: 'POST', path: '/v1/retrieve?x=1', body: '{"query":"sofa"}' };
const headers = async (over: Partial<typeof request> = {}, at = nowMs, keys = ring) =>
  new Headers(await signRequest(keys, { ...request, ...over }, { nowMs: at, nonce: 'nonce-0001' }));
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: HarnessError) => error.code,
  );

describe('requests', () => {
  test('what was signed is accepted, and answers its nonce', async () => {
    expect(await verifyRequest(ring, request, await headers(), nowMs)).toBe('nonce-0001');
  });
  test.each([0, 4_095, 4_096, 4_097, 100_000])('a body of %i bytes is signed as documented', async (length) => {
    const body = length < 4 ? '' : `é${'x'.repeat(length - 2)}`;
    const signed = await signRequest(ring, { ...request, body }, { nowMs, nonce: 'nonce-0001' });
    const digest = createHash('sha256').update(body).digest('hex');
    const text = ['POST', request.path, digest, nowMs, 'nonce-0001', 'k1'].join('\n');
    const expected = createHmac('sha256', ring[0]!.secret).update(text).digest('base64url');
    expect(signed[SIGNATURE_HEADERS.signature]).toBe(expected);
    expect(await verifyRequest(ring, { ...request, body, method: 'post' }, new Headers(signed), nowMs)).toBe(
      'nonce-0001',
    );
  });
  test('a signature with any byte changed, or of another length, is refused', async () => {
    const sent = await headers();
    const bytes = Buffer.from(sent.get(SIGNATURE_HEADERS.signature)!, 'base64url');
    const altered = Array.from(bytes, (byte, i) => Buffer.from(bytes).fill(byte ^ 1, i, i + 1));
    for (const wrong of [...altered, bytes.subarray(0, 31), Buffer.concat([bytes, bytes])]) {
      sent.set(SIGNATURE_HEADERS.signature, wrong.toString('base64url'));
      expect(await code(verifyRequest(ring, request, sent, nowMs))).toBe('unauthorized');
    }
  });
  test.each([
    ['another method', { method: 'PUT' }],
    ['another path', { path: '/v1/retrieve?x=2' }],
    ['another body', { body: '{"query":"sofa" }' }],
  ])('%s is refused', async (_, over) => {
    expect(await code(verifyRequest(ring, { ...request, ...over }, await headers(), nowMs))).toBe('unauthorized');
  });
  test.each([
    [SIGNATURE_HEADERS.timestamp, String(nowMs + 1)],
    [SIGNATURE_HEADERS.nonce, 'nonce-0002'],
    [SIGNATURE_HEADERS.keyId, 'k0'],
  ])('another %s than was signed is refused', async (name, value) => {
    const sent = await headers();
    sent.set(name, value);
    const twoNames: KeyRing = [...ring, { id: 'k0', secret: ring[0]!.secret }];
    expect(await code(verifyRequest(twoNames, request, sent, nowMs))).toBe('unauthorized');
  });
  test.each([
    [7, 'unauthorized'],
    [8, 'accepted'],
    [64, 'accepted'],
    [65, 'unauthorized'],
  ])('a nonce of %i characters is %s', async (length, outcome) => {
    const signed = await signRequest(ring, request, { nowMs, nonce: 'n'.repeat(length) });
    expect(await code(verifyRequest(ring, request, new Headers(signed), nowMs))).toBe(outcome);
  });
  test.each([-MAX_SKEW_MS, MAX_SKEW_MS])('a clock off by %i ms is borne', async (skew) => {
    expect(await code(verifyRequest(ring, request, await headers({}, nowMs + skew), nowMs))).toBe('accepted');
  });
  test.each([-MAX_SKEW_MS - 1, MAX_SKEW_MS + 1])('a clock off by %i ms is refused', async (skew) => {
    expect(await code(verifyRequest(ring, request, await headers({}, nowMs + skew), nowMs))).toBe('unauthorized');
  });
  test.each(['', 'soon', 'NaN', '1.8e12', `${nowMs}.0`, ` ${nowMs}`, '-1', '9'.repeat(16)])(
    'a timestamp that reads %j is refused, whoever signed it',
    async (timestamp) => {
      const digest = createHash('sha256').update(request.body).digest('hex');
      const text = ['POST', request.path, digest, timestamp, 'nonce-0001', 'k1'].join('\n');
      const sent: Record<string, string | undefined> = {
        ...Object.fromEntries(await headers()),
        [SIGNATURE_HEADERS.timestamp]: timestamp,
        [SIGNATURE_HEADERS.signature]: createHmac('sha256', ring[0]!.secret).update(text).digest('base64url'),
      };
      const asSent = { get: (name: string) => sent[name] };
      expect(await code(verifyRequest(ring, request, asSent, nowMs))).toBe('unauthorized');
    },
  );
  test('no headers, a foreign key and garbage are refused', async () => {
    expect(await code(verifyRequest(ring, request, new Headers(), nowMs))).toBe('unauthorized');
    expect(
      await code(
        verifyRequest(
          ring,
          request,
          await headers({}, nowMs, [{ id: 'k2', secret: 'another secret of length' }]),
          nowMs,
        ),
      ),
    ).toBe('unauthorized');
    expect(
      await code(
        verifyRequest(
          ring,
          request,
          await headers({}, nowMs, [{ id: 'k1', secret: 'another secret of length' }]),
          nowMs,
        ),
      ),
    ).toBe('unauthorized');
  });
  test('an old key still verifies while it is in the ring', async () => {
    const rotated: KeyRing = [{ id: 'k2', secret: 'the new secret, long enough' }, ...ring];
    expect(await verifyRequest(rotated, request, await headers(), nowMs)).toBe('nonce-0001');
  });
});

describe('tokens', () => {
  test('round trip, for any text', async () => {
    for (const payload of ['', '{}', 'ünïcode ✓', '\uFEFF with a mark', 'x'.repeat(2000)]) {
      expect(await verifyToken(ring, 'click', await signToken(ring, 'click', payload))).toBe(payload);
    }
  });
  test('every changed character is refused', async () => {
    const token = await signToken(ring, 'click', '{"a":"ad-1"}');
    for (let i = 0; i < token.length; i++) {
      const other = token[i] === 'A' ? 'B' : 'A';
      expect(await code(verifyToken(ring, 'click', token.slice(0, i) + other + token.slice(i + 1))), `at ${i}`).toBe(
        'invalid_token',
      );
    }
  });
  test('signed in two parts they are what they are signed in one, with spaces where the parts meet', async () => {
    const rotated: KeyRing = [{ id: 'k2', secret: 'the new secret, long enough' }, ...ring];
    for (const head of ['{"a":1', '{"a":12', '{"a":123', `{"ä":"${'✓'.repeat(71)}"`]) {
      const sign = tokenHead(rotated, 'click', head);
      for (const tail of ['}', `,"é":"${'x'.repeat(90)}"}`]) {
        const token = sign(tokenTail(tail));
        const payload = await verifyToken(rotated, 'click', token);
        expect(payload.replace(/ *(?=[,}])/, '')).toBe(head + tail);
        expect(token).toBe(await signToken(rotated, 'click', payload));
      }
    }
  });
  test('a token of another purpose or with more parts is refused', async () => {
    const token = await signToken(ring, 'unit', 'x');
    expect(await code(verifyToken(ring, 'click', token))).toBe('invalid_token');
    expect(await code(verifyToken(ring, 'unit', `${token}.x`))).toBe('invalid_token');
    expect(await code(verifyToken(ring, 'unit', ''))).toBe('invalid_token');
  });
});

test('a key ring is parsed, and a weak one refused', () => {
  expect(parseKeyRing('a:0123456789abcdef,b:fedcba9876543210')).toEqual([
    { id: 'a', secret: '0123456789abcdef' },
    { id: 'b', secret: 'fedcba9876543210' },
  ]);
  for (const bad of ['', 'a', 'a:short', 'a:0123456789abcde', ':0123456789abcdef'])
    expect(() => parseKeyRing(bad)).toThrow(HarnessError);
  // A secret without an id: read as one, it would be told to everybody in every token.
  for (const bad of ['0123456789abcdef', 'a:0123456789abcdef,fedcba9876543210'])
    expect(() => parseKeyRing(bad)).toThrow('expected id:secret');
  expect(parseKeyRing('a: 0123456789abcdef \n')).toEqual([{ id: 'a', secret: '0123456789abcdef' }]);
  expect(parseKeyRing('a:0123456789:abcdef')).toEqual([{ id: 'a', secret: '0123456789:abcdef' }]);
  expect(() => parseKeyRing('a:0123456789abcdef,b:0123456789abcdef, a :fedcba9876543210', 'HARNESS_API_KEYS')).toThrow(
    'HARNESS_API_KEYS: expected each id once, got a twice; rename one of its keys.',
  );
});
