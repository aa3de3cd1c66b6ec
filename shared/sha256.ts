/**
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) without a wait: for messages of a few hundred bytes the way into WebCrypto and back
 * costs more than the hash. What many messages begin with is hashed once: a {@link Sha256} goes on from another.
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

export class Sha256 {
  readonly #state: Int32Array;
  /** The block that is not full yet. */
  readonly #rest: Uint8Array;
  #length: number;

  /** A new one, or one that has taken in what `from` has. */
  constructor(from?: Sha256) {
    this.#state = from === undefined ? START.slice() : from.#state.slice();
    this.#rest = from === undefined ? new Uint8Array(BLOCK) : from.#rest.slice();
    this.#length = from === undefined ? 0 : from.#length;
  }

  update(bytes: Uint8Array): this {
    let at = 0;
    const filled = this.#length % BLOCK;
    this.#length += bytes.length;
    if (filled > 0) {
      at = Math.min(BLOCK - filled, bytes.length);
      for (let i = 0; i < at; i++) this.#rest[filled + i] = bytes[i]!;
      if (filled + at < BLOCK) return this;
      compress(this.#state, this.#rest, 0);
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) compress(this.#state, bytes, at);
    for (let i = at; i < bytes.length; i++) this.#rest[i - at] = bytes[i]!;
    return this;
  }

  /** The 32 bytes; what comes after is not defined. */
  digest(): Uint8Array<ArrayBuffer> {
    const rest = this.#rest;
    const filled = this.#length % BLOCK;
    rest[filled] = 0x80;
    rest.fill(0, filled + 1);
    if (filled >= BLOCK - 8) {
      compress(this.#state, rest, 0);
      rest.fill(0);
    }
    const view = new DataView(rest.buffer);
    view.setUint32(BLOCK - 8, Math.floor(this.#length / 2 ** 29));
    view.setUint32(BLOCK - 4, this.#length << 3);
    compress(this.#state, rest, 0);
    const out = new Uint8Array(32);
    for (let i = 0; i < 32; i++) out[i] = this.#state[i >> 2]! >>> (24 - 8 * (i & 3));
    return out;
  }
}

/** HMAC-SHA256 under one key. */
export class HmacSha256 {
  readonly #inner: Sha256;
  readonly #outer: Sha256;

  constructor(key: Uint8Array) {
    const short = key.length > BLOCK ? new Sha256().update(key).digest() : key;
    const padded = (pad: number) =>
      new Sha256().update(Uint8Array.from({ length: BLOCK }, (_, i) => (short[i] ?? 0) ^ pad));
    this.#inner = padded(0x36);
    this.#outer = padded(0x5c);
  }

  /** Takes in the message. */
  begin(): Sha256 {
    return new Sha256(this.#inner);
  }

  /** The 32 bytes of the message that `message`, which {@link begin} gave, has taken in. */
  end(message: Sha256): Uint8Array<ArrayBuffer> {
    return new Sha256(this.#outer).update(message.digest()).digest();
  }
}
