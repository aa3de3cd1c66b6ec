import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HmacSha256, sha256 } from '../../shared/sha256.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const ascii = (text: string) => new TextEncoder().encode(text);

// FIPS 180-4's examples as NIST publishes them (SHA256.pdf, and the long message of SHAVS).
it.each([
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  ['a'.repeat(1_000_000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
])('hashes %#', (text, expected) => {
  expect(hex(sha256(ascii(text)))).toBe(expected);
});

// RFC 4231, cases 1, 2 and 6 (a key longer than a block).
it.each([
  ['0b'.repeat(20), 'Hi There', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  ['4a656665', 'what do ya want for nothing?', '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'],
  [
    'aa'.repeat(131),
    'Test Using Larger Than Block-Size Key - Hash Key First',
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
])('signs %#', (key, text, expected) => {
  const hmac = new HmacSha256(Buffer.from(key, 'hex'));
  expect(hex(hmac.end(hmac.begin(ascii('')), ascii(text)))).toBe(expected);
});

async function webCrypto(key: Uint8Array, message: Uint8Array): Promise<string> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const imported = await crypto.subtle.importKey('raw', key.slice(), algorithm, false, ['sign']);
  return hex(new Uint8Array(await crypto.subtle.sign('HMAC', imported, message.slice())));
}

it('agrees with WebCrypto, however a message is cut, for one end after the other', async () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 150 }), bytes, bytes, bytes, async (key, head, a, b) => {
      const hmac = new HmacSha256(key);
      const started = hmac.begin(head);
      for (const tail of [a, b])
        expect(hex(hmac.end(started, tail))).toBe(await webCrypto(key, new Uint8Array([...head, ...tail])));
    }),
    { numRuns: 150 },
  );
});

it('agrees at the borders of blocks, of keys and of messages', async () => {
  const of = (length: number) => Uint8Array.from({ length }, (_, i) => 7 * i + 1);
  for (const keyLength of [63, 64, 65]) {
    const hmac = new HmacSha256(of(keyLength));
    for (const length of [54, 55, 56, 63, 64, 65, 119, 120])
      for (const cut of [0, 1, length])
        expect(hex(hmac.end(hmac.begin(of(length).subarray(0, cut)), of(length).subarray(cut)))).toBe(
          await webCrypto(of(keyLength), of(length)),
        );
  }
});
