/** Run in Node and in workerd, which do not both have the codecs that `digest.ts` would rather use. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonicalJson, fromBase64Url, sha256Hex, toBase64Url } from '../../shared/digest.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

it.each([
  ['', ''],
  ['f', 'Zg'],
  ['fo', 'Zm8'],
  ['foo', 'Zm9v'],
  ['foob', 'Zm9vYg'],
  ['fooba', 'Zm9vYmE'],
  ['foobar', 'Zm9vYmFy'],
])('spells %j as RFC 4648 does, without padding', (text, spelt) => {
  expect(toBase64Url(bytes(text))).toBe(spelt);
});

it('uses the alphabet of URLs', () => {
  expect(toBase64Url(Uint8Array.of(0xfb, 0xff, 0xbf))).toBe('-_-_');
});

it('reads back what it spelt, and no other spelling', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (data) => {
      expect(fromBase64Url(toBase64Url(data))).toEqual(new Uint8Array(data));
    }),
  );
  for (const other of ['Zh', 'Zg==', 'Zm9', 'Z', '+/', 'Zg\n']) expect(fromBase64Url(other), other).toBeUndefined();
});

it('writes a value in one way, whatever the order of its keys', () => {
  const value = { b: [2, { d: 1, c: 'x' }], a: null, absent: undefined };
  expect(canonicalJson(value)).toBe('{"a":null,"b":[2,{"c":"x","d":1}]}');
});

it('digests as FIPS 180-4 does', async () => {
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(await sha256Hex('abc')).toBe(abc);
  expect(await sha256Hex(bytes('abc'))).toBe(abc);
});
