import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codePoints, NORMALIZER_VERSION, normalize } from '../../shared/text.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/normalize.json', import.meta.url), 'utf8')) as {
  normalizerVersion: number;
  cases: [name: string, locale: string, query: string, normalized: string][];
};

describe('normalize', () => {
  it('has a golden set of its version', () => {
    expect(golden.normalizerVersion).toBe(NORMALIZER_VERSION);
    expect(golden.cases.length).toBeGreaterThan(60);
  });

  it.each(golden.cases)('%s', (_, locale, query, normalized) => {
    expect(normalize(query, locale)).toBe(normalized);
  });

  // Any code point, surrogates too, with those that interact more often.
  const text = fc
    .array(
      fc.oneof(
        fc.integer({ min: 0, max: 0x10ffff }),
        fc.integer({ min: 0x20, max: 0x24f }),
        fc.constantFrom(0x200c, 0x200d, 0x130, 0x131, 0x307, 0xdf, 0x1e9e, 0x3c3, 0xbd, 0x2044, 0xad, 0x1f468, 0x34f),
      ),
      { maxLength: 30 },
    )
    .map((points) => points.map((point) => String.fromCodePoint(point)).join(''));
  const locale = fc.constantFrom('en', 'tr', 'az-AZ', 'de', 'el', 'lt');

  it('is idempotent', () => {
    fc.assert(
      fc.property(text, locale, (query, tag) => {
        const once = normalize(query, tag);
        expect(normalize(once, tag)).toBe(once);
      }),
      { numRuns: 3_000 },
    );
  });

  it('gives well-formed text in one form, without white space at its ends or doubled, and without controls', () => {
    fc.assert(
      fc.property(text, locale, (query, tag) => {
        const out = normalize(query, tag);
        expect(out.isWellFormed()).toBe(true);
        expect(out.normalize('NFKC')).toBe(out);
        expect(out).not.toMatch(/^\s|\s$|\s\s|[\p{Cc}\u200b\ufeff\u00ad]/u);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('codePoints', () => {
  it('counts characters, not halves of them', () => {
    expect(codePoints('a\u{1f45f}é')).toBe(3);
    expect(codePoints('')).toBe(0);
  });
});
