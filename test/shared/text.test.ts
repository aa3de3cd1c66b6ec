/** Runs in Node and in workerd: a query must come to the same bytes wherever it is normalized. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codePoints, NORMALIZER_VERSION, normalize } from '../../shared/text.ts';
// As text: module loaders do not take the lone surrogates that are among the cases.
import goldenText from '../golden/text.json?raw';

const golden = JSON.parse(goldenText) as {
  normalizerVersion: number;
  cases: [name: string, locale: string, query: string, normalized: string][];
};
const bytes = (text: string) => [...new TextEncoder().encode(text)];

/** Any code point, surrogates too, with those that interact more often. */
const query = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 0x10ffff }),
      fc.integer({ min: 0x20, max: 0x24f }),
      fc.constantFrom(0x200c, 0x200d, 0x130, 0x131, 0x307, 0xdf, 0x1e9e, 0x3c3, 0xbd, 0x2044, 0xad, 0x1f468, 0x34f),
      fc.constantFrom(0xd800, 0xdbff, 0xdc00, 0xdfff, 0x345, 0x2033, 0xfdfa, 0x1160, 0x3164, 0x915, 0x94d, 0xfe0f),
    ),
    { maxLength: 30 },
  )
  .map((points) => points.map((point) => String.fromCodePoint(point)).join(''));
const locale = fc.constantFrom('en', 'tr', 'az-AZ', 'de', 'el', 'lt');

describe('normalize', () => {
  it('has a golden set of its version', () => {
    expect(golden.normalizerVersion).toBe(NORMALIZER_VERSION);
    expect(golden.cases.length).toBeGreaterThan(90);
  });

  it.each(golden.cases)('%s', (_, tag, from, to) => {
    expect(bytes(normalize(from, tag))).toEqual(bytes(to));
    expect(bytes(normalize(to, tag))).toEqual(bytes(to));
  });

  it('is idempotent', () => {
    // A joiner holds the marks apart until it is gone: more than one pass is needed.
    expect(normalize('ß\u0301\u200c\u0323')).toBe(normalize(normalize('ß\u0301\u200c\u0323')));
    fc.assert(
      fc.property(query, locale, (from, tag) => {
        const once = normalize(from, tag);
        expect(normalize(once, tag)).toBe(once);
      }),
      { numRuns: 3_000 },
    );
  });

  it('gives well-formed text in one form, without white space at its ends or doubled, and without controls', () => {
    fc.assert(
      fc.property(query, locale, (from, tag) => {
        const to = normalize(from, tag);
        expect(to.isWellFormed()).toBe(true);
        expect(to.normalize('NFKC')).toBe(to);
        expect(to).not.toMatch(/^\s|\s$|\s\s|[\p{Cc}\u200b\ufeff\u00ad]/u);
      }),
      { numRuns: 1_000 },
    );
  });

  it('takes a text of printable ASCII for what it is beside other words', () => {
    const one = fc.integer({ min: 0x20, max: 0x7e }).map((unit) => String.fromCharCode(unit));
    const ascii = fc.string({ unit: fc.oneof(one, fc.constantFrom(' ', 'I')), maxLength: 20 });
    fc.assert(
      fc.property(ascii, locale, (from, tag) => {
        expect(normalize(`${from} é`, tag)).toBe(`${normalize(from, tag)} é`.trim());
      }),
      { numRuns: 1_000 },
    );
  });

  it('grows a text by no more than its longest mapping, 18 units for U+FDFA', () => {
    fc.assert(
      fc.property(query, locale, (from, tag) => {
        expect(normalize(from, tag).length).toBeLessThanOrEqual(18 * from.length);
      }),
      { numRuns: 1_000 },
    );
    expect(normalize('\ufdfa')).toHaveLength(18);
  });

  it('depends on the locale for Turkish and Azeri alone', () => {
    fc.assert(
      fc.property(query, fc.constantFrom('de', 'el', 'lt', 'nl', 'trv', 'ja-JP', 'fa'), (from, tag) => {
        expect(normalize(from, tag)).toBe(normalize(from));
      }),
      { numRuns: 500 },
    );
  });
});

it('reads the language of a tag that is none for Intl', () => {
  for (const tag of ['tr-12', 'AZ-ab-cd', 'tr-']) expect(normalize('ILIK', tag)).toBe('\u0131l\u0131k');
});

describe('codePoints', () => {
  it('counts characters, not halves of them', () => {
    expect(codePoints('a\u{1f45f}é')).toBe(3);
    expect(codePoints('')).toBe(0);
  });
});
