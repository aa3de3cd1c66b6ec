/**
 * HMAC-SHA256 over what must not be forged: the edge's calls to the backend, click tokens and unit cookies.
 * A key has an id; the first key of a ring signs, every key of the ring verifies, so keys can be rotated.
 */
import { fromBase64Url, hexOf, sha256Hex, toBase64Url } from './digest.ts';
import { HarnessError } from './problem.ts';
import { HmacSha256, sha256 } from './sha256.ts';

/** Secrets by key id, the signing key first. */
export type KeyRing = readonly { id: string; secret: string }[];

/** Largest difference of clocks between the edge and the backend. */
export const MAX_SKEW_MS = 60_000;

export const SIGNATURE_HEADERS = {
  keyId: 'harness-key-id',
  timestamp: 'harness-timestamp',
  nonce: 'harness-nonce',
  signature: 'harness-signature',
} as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Named through its maker: the runtimes' own type declarations do not agree on a global `CryptoKey`. */
type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;
/** Keys and not promises of them, which in a Worker belong to the request that made them. */
const imported = new Map<string, HmacKey>();

async function importKey(secret: string): Promise<HmacKey> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['sign', 'verify']);
  imported.set(secret, key);
  return key;
}

const hmacKey = (secret: string): HmacKey | Promise<HmacKey> => imported.get(secret) ?? importKey(secret);

/** Parses `id:secret[,id:secret]`, the form of the `HARNESS_KEYS` setting, each id once; an error names `setting`. */
export function parseKeyRing(text: string, setting = 'HARNESS_KEYS'): KeyRing {
  const ring = text.split(',').map((part) => {
    const [id = '', ...secret] = part.split(':');
    return { id: id.trim(), secret: secret.join(':').trim() };
  });
  if (ring.some(({ id, secret }) => !/^[\w-]{1,32}$/.test(id) || secret.length < 16)) {
    throw new HarnessError(
      'configuration',
      `${setting}: expected id:secret[,id:secret] with secrets of at least 16 characters.`,
    );
  }
  const ids = ring.map(({ id }) => id);
  const repeated = ids.find((id, at) => ids.indexOf(id) !== at);
  if (repeated !== undefined)
    throw new HarnessError(
      'configuration',
      `${setting}: expected each id once, got ${repeated} twice; rename one of its keys.`,
    );
  return ring;
}

/** Raw HMAC of UTF-8 text under the signing key of the ring. */
export async function hmac(ring: KeyRing, text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign('HMAC', await hmacKey(ring[0]!.secret), encoder.encode(text)));
}

export interface SignedRequest {
  method: string;
  /** Path with its query string, as sent. */
  path: string;
  body: string;
}

/**
 * Bodies of up to this many bytes are hashed at once: other threads would hash them faster, but a busy service comes
 * back to a request only after others, and each would wait for that.
 */
const AT_ONCE = 4_096;

async function canonical(request: SignedRequest, timestamp: string, nonce: string, keyId: string): Promise<string> {
  const body = encoder.encode(request.body);
  const digest = body.length <= AT_ONCE ? hexOf(sha256(body)) : await sha256Hex(request.body);
  return [request.method.toUpperCase(), request.path, digest, timestamp, nonce, keyId].join('\n');
}

/** The headers that prove a request comes from the holder of a key. */
export async function signRequest(
  ring: KeyRing,
  request: SignedRequest,
  at: { nowMs: number; nonce: string },
): Promise<Record<string, string>> {
  const key = ring[0]!;
  const timestamp = String(at.nowMs);
  const text = await canonical(request, timestamp, at.nonce, key.id);
  const signature = toBase64Url(await hmac([key], text));
  return {
    [SIGNATURE_HEADERS.keyId]: key.id,
    [SIGNATURE_HEADERS.timestamp]: timestamp,
    [SIGNATURE_HEADERS.nonce]: at.nonce,
    [SIGNATURE_HEADERS.signature]: signature,
  };
}

/** Throws `unauthorized` unless the headers sign this very request; returns the nonce, which the caller must see only once. */
export async function verifyRequest(
  ring: KeyRing,
  request: SignedRequest,
  headers: { get(name: string): string | null | undefined },
  nowMs: number,
): Promise<string> {
  const refuse = (why: string) => new HarnessError('unauthorized', `Signature refused: ${why}.`);
  const read = (name: string) => headers.get(name) ?? '';
  const [keyId, timestamp, nonce] = [
    read(SIGNATURE_HEADERS.keyId),
    read(SIGNATURE_HEADERS.timestamp),
    read(SIGNATURE_HEADERS.nonce),
  ];
  const signature = fromBase64Url(read(SIGNATURE_HEADERS.signature));
  const key = ring.find(({ id }) => id === keyId);
  if (keyId === '' || signature === undefined)
    throw refuse(`expected the headers ${Object.values(SIGNATURE_HEADERS).join(', ')}`);
  if (key === undefined) throw refuse(`unknown key id ${JSON.stringify(keyId.slice(0, 32))}`);
  if (!/^\d{1,15}$/.test(timestamp) || Math.abs(nowMs - Number(timestamp)) > MAX_SKEW_MS)
    throw refuse(`timestamp is off by more than ${MAX_SKEW_MS / 1000} s`);
  if (nonce.length < 8 || nonce.length > 64) throw refuse('expected a nonce of 8 to 64 characters');
  const text = await canonical(request, timestamp, nonce, key.id);
  if (!isHmac(signature, key.secret, text)) throw refuse('it does not match method, path, body, timestamp and nonce');
  return nonce;
}

/** `purpose` separates token kinds, so that a cookie can never be read as a click token. */
export async function signToken(ring: KeyRing, purpose: string, payload: string): Promise<string> {
  const key = ring[0]!;
  const body = toBase64Url(encoder.encode(payload));
  const signature = await hmac([key], `${purpose}\n${key.id}\n${body}`);
  return `${key.id}.${body}.${toBase64Url(signature)}`;
}

const hmacs = new Map<string, HmacSha256>();

function hmacOf(secret: string): HmacSha256 {
  const known = hmacs.get(secret);
  if (known !== undefined) return known;
  const made = new HmacSha256(encoder.encode(secret));
  hmacs.set(secret, made);
  return made;
}

/** Whether a signature is that of the text, in a time that does not depend on how much of it is right. */
function isHmac(signature: Uint8Array, secret: string, text: string): boolean {
  const key = hmacOf(secret);
  const expected = key.end(key.begin(encoder.encode(text)), NOTHING);
  if (signature.length !== expected.length) return false;
  let different = 0;
  for (let i = 0; i < expected.length; i++) different |= signature[i]! ^ expected[i]!;
  return different === 0;
}

const NOTHING = new Uint8Array(0);

/** The end of a payload, ready to follow a {@link tokenHead}. */
export interface TokenTail {
  base64: string;
  bytes: Uint8Array;
}

export function tokenTail(payload: string): TokenTail {
  const base64 = toBase64Url(encoder.encode(payload));
  return { base64, bytes: encoder.encode(base64) };
}

/**
 * What {@link signToken} makes of payloads that begin alike, without waiting: `head` is encoded and hashed once, then
 * each token adds its tail. The head is padded with spaces to a whole number of base64's groups, so it must end where
 * spaces mean nothing.
 */
export function tokenHead(ring: KeyRing, purpose: string, head: string): (tail: TokenTail) => string {
  const { id, secret } = ring[0]!;
  const gap = (3 - (encoder.encode(head).length % 3)) % 3;
  const body = toBase64Url(encoder.encode(head + ' '.repeat(gap)));
  const key = hmacOf(secret);
  const begun = key.begin(encoder.encode(`${purpose}\n${id}\n${body}`));
  const start = `${id}.${body}`;
  return ({ base64, bytes }) => `${start}${base64}.${toBase64Url(key.end(begun, bytes))}`;
}

/** The payload of a token that {@link signToken} made for this purpose; throws `invalid_token` for any other text. */
export async function verifyToken(ring: KeyRing, purpose: string, token: string): Promise<string> {
  const [keyId, body, signatureText, ...rest] = token.split('.');
  const key = ring.find(({ id }) => id === keyId);
  const [bytes, signature] = [fromBase64Url(body ?? ''), fromBase64Url(signatureText ?? '')];
  if (key !== undefined && bytes !== undefined && signature !== undefined && rest.length === 0) {
    const text = encoder.encode(`${purpose}\n${key.id}\n${body}`);
    if (await crypto.subtle.verify('HMAC', await hmacKey(key.secret), signature, text)) return decoder.decode(bytes);
  }
  throw new HarnessError('invalid_token', `Expected a ${purpose} token issued by this service.`);
}
