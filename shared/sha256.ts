/**
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) without waiting: for messages of a few hundred bytes a call of WebCrypto
 * costs more than the hash. A beginning that many messages share is hashed once. Only the result is allocated.
 */

const BLOCK = 64;

/** First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const K = Int32Array.from(
  (
    '428a2f98 71374491 b5c0fbcf e9b5dba5 3956c25b 59f111f1 923f82a4 ab1c5ed5 d807aa98 12835b01 243185be 550c7dc3 ' +
    '72be5d74 80deb1fe 9bdc06a7 c19bf174 e49b69c1 efbe4786 0fc19dc6 240ca1cc 2de92c6f 4a7484aa 5cb0a9dc 76f988da ' +
    '983e5152 a831c66d b00327c8 bf597fc7 c6e00bf3 d5a79147 06ca6351 14292967 27b70a85 2e1b2138 4d2c6dfc 53380d13 ' +
    '650a7354 766a0abb 81c2c92e 92722c85 a2bfe8a1 a81a664b c24b8b70 c76c51a3 d192e819 d6990624 f40e3585 106aa070 ' +
    '19a4c116 1e376c08 2748774c 34b0bcb5 391c0cb3 4ed8aa4a 5b9cca4f 682e6ff3 748f82ee 78a5636f 84c87814 8cc70208 ' +
    '90befffa a4506ceb bef9a3f7 c67178f2'
  )
    .split(' ')
    .map((word) => Number.parseInt(word, 16)),
);

/** The same of the square roots of the first eight. */
const START = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

const W = new Int32Array(64);

/** Takes the block of 64 bytes at `at` into the state. */
function compress(state: Int32Array, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) {
    const o = at + 4 * i;
    W[i] = (bytes[o]! << 24) | (bytes[o + 1]! << 16) | (bytes[o + 2]! << 8) | bytes[o + 3]!;
  }
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15]!;
    const y = W[i - 2]!;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16]! + s0 + W[i - 7]! + s1) | 0;
  }
  // Eight names and not an array: the compiler keeps them in registers.
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  let f = state[5]!;
  let g = state[6]!;
  let h = state[7]!;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i]! + W[i]!) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
  state[4]! += e;
  state[5]! += f;
  state[6]! += g;
  state[7]! += h;
}

/** What some bytes have come to. */
export interface Begun {
  /** After their whole blocks. */
  readonly state: Int32Array;
  /** What is left of them. */
  readonly rest: Uint8Array;
  readonly length: number;
}

const NOTHING: Begun = { state: START, rest: new Uint8Array(), length: 0 };

function goOn({ state, rest, length }: Begun, bytes: Uint8Array): Begun {
  const all = new Uint8Array(rest.length + bytes.length);
  all.set(rest);
  all.set(bytes, rest.length);
  const whole = all.length - (all.length % BLOCK);
  const next = state.slice();
  for (let at = 0; at < whole; at += BLOCK) compress(next, all, at);
  return { state: next, rest: all.slice(whole), length: length + bytes.length };
}

/** Where messages end; grows with the longest. */
let last = new Uint8Array(4 * BLOCK);
const end = new Int32Array(8);

/** The digest of what was begun and then `tail`, as bytes into `out`. */
function finish({ state, rest, length }: Begun, tail: Uint8Array, out: Uint8Array): void {
  const filled = rest.length + tail.length;
  const blocks = Math.ceil((filled + 9) / BLOCK) * BLOCK;
  if (last.length < blocks) last = new Uint8Array(2 * blocks);
  for (let i = 0; i < rest.length; i++) last[i] = rest[i]!;
  for (let i = 0; i < tail.length; i++) last[rest.length + i] = tail[i]!;
  last[filled] = 0x80;
  // Bits of the message as 64, of which a length in bytes below 2^29 fills 32.
  for (let i = filled + 1; i < blocks - 4; i++) last[i] = 0;
  const bits = (length + tail.length) * 8;
  for (let i = 0; i < 4; i++) last[blocks - 4 + i] = bits >>> (24 - 8 * i);
  for (let i = 0; i < 8; i++) end[i] = state[i]!;
  for (let at = 0; at < blocks; at += BLOCK) compress(end, last, at);
  for (let i = 0; i < 32; i++) out[i] = end[i >> 2]! >>> (24 - 8 * (i & 3));
}

/** The 32 bytes of a message of less than 2^29. */
export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(32);
  finish(NOTHING, bytes, out);
  return out;
}

const middle = new Uint8Array(32);

/** HMAC-SHA256 under one key, of messages of less than 2^29 bytes. */
export class HmacSha256 {
  readonly #inner: Begun;
  readonly #outer: Begun;

  constructor(key: Uint8Array) {
    const short = key.length > BLOCK ? sha256(key) : key;
    const padded = (pad: number) =>
      goOn(
        NOTHING,
        Uint8Array.from({ length: BLOCK }, (_, i) => (short[i] ?? 0) ^ pad),
      );
    this.#inner = padded(0x36);
    this.#outer = padded(0x5c);
  }

  /** What messages begin with, for {@link end}. */
  begin(head: Uint8Array): Begun {
    return goOn(this.#inner, head);
  }

  /** The 32 bytes of the message that was begun and then `tail`. */
  end(begun: Begun, tail: Uint8Array): Uint8Array<ArrayBuffer> {
    finish(begun, tail, middle);
    const out = new Uint8Array(32);
    finish(this.#outer, middle, out);
    return out;
  }
}
