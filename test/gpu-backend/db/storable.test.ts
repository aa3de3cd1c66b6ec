import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unstorable } from '../../../gpu-backend/db/storable.ts';

describe('what Postgres cannot store', () => {
  test.each([
    ['a\0b', 'text'],
    [{ title: 'x', keywords: [{ text: '\ud800' }] }, 'keywords.0.text'],
    [{ 'k\0': 1 }, 'a key'],
    [['fine', ['\udfff']], '1.0'],
  ])('%j is named by its path', (value, path) => expect(unstorable(value)).toBe(path));

  test('is not found in well-formed JSON without U+0000', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), (value) => {
        expect(unstorable(value)).toBe(JSON.stringify(value).includes('\\u0000') ? expect.any(String) : undefined);
      }),
      { seed: 1 },
    );
  });

  test('is found wherever it hides', () => {
    const bad = fc.constantFrom('\0', 'a\0', '\ud83d', '\ude00x');
    fc.assert(
      fc.property(bad, fc.array(fc.constantFrom('a', '0', 'key')), (text, path) => {
        const value = path.reduceRight<unknown>((inner, key) => (key === '0' ? [inner] : { [key]: inner }), text);
        expect(unstorable(value)).toEqual(expect.any(String));
      }),
      { seed: 2 },
    );
  });
});
