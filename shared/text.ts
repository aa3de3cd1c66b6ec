/**
 * Query normalisation: the text under which a query is cached, encoded and logged. Conservative (no stemming, no stop
 * words, no spelling), idempotent, and versioned: the version is part of the cache key and of every bundle's manifest.
 * Sources: Unicode UAX #15 (NFKC), UTS #10/#21 case mapping, UTR #36 on invisible characters.
 */

/** Raised whenever `normalize` may answer differently for any input. */
export const NORMALIZER_VERSION = 1;

/** Longest normalized query, in code points. */
export const MAX_QUERY_LENGTH = 200;

const VULGAR_FRACTION_AFTER_DIGIT = /(?<=\d)(?=[\u00BC-\u00BE\u2150-\u215E\u2189])/gu;
const QUOTES: [RegExp, string][] = [
  [/[\u00B4\u2018\u2019\u201A\u201B\u2032\u02BC]/gu, "'"],
  [/[\u201C\u201D\u201E\u201F\u2033\u00AB\u00BB]/gu, '"'],
  [/[\u2010-\u2015\u2212]/gu, '-'],
  [/\u2044/gu, '/'],
];
// Format characters that are invisible and carry no meaning in a query: soft hyphen, zero-width space, bidi controls, BOM.
const INVISIBLE = /[\u00AD\u061C\u115F\u1160\u180E\u200B\u200E\u200F\u202A-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]/gu;
const TURKIC = /^(tr|az)\b/i;
const PRINTABLE_ASCII = /^[ -~]*$/;

/**
 * Before NFKC, which takes a double prime apart and makes a spacing accent a space; and again after it, for what it
 * produces.
 */
function unifyQuotes(text: string): string {
  let out = text;
  for (const [pattern, replacement] of QUOTES) out = out.replace(pattern, replacement);
  return out;
}

/** Patterns of Unicode classes take a millisecond to build, so they are written in functions, where that happens on the first call. */
function withoutStrayJoiners(text: string): string {
  // Joiners carry meaning inside Persian, Indic and emoji sequences and nowhere else.
  return text.replace(
    /(?<![\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200C\u200D]+|[\u200C\u200D]+(?![\p{L}\p{M}\p{Extended_Pictographic}])|(?<=\p{Script=Latin})[\u200C\u200D]+/gu,
    '',
  );
}

function pass(text: string, locale: string): string {
  let out = unifyQuotes(text.toWellFormed().replace(VULGAR_FRACTION_AFTER_DIGIT, ' '));
  out = unifyQuotes(out.normalize('NFKC'));
  out = withoutStrayJoiners(out.replace(INVISIBLE, ''));
  // U+0130 lower-cases to i + U+0307 outside Turkic locales; sharp s and final sigma are folded so that case pairs meet.
  // By the language alone: a tag may have subtags for which Intl throws.
  out = TURKIC.test(locale) ? out.toLocaleLowerCase(locale.slice(0, 2)) : out.replaceAll('\u0130', 'i').toLowerCase();
  out = out.replaceAll('\u00DF', 'ss').replaceAll('\u03C2', '\u03C3');
  return out
    .replace(/[\p{Cc}\p{Z}\uFFFD\s]+/gu, ' ')
    .trim()
    .normalize('NFKC');
}

/** The normalized query; idempotent, and never throws. `locale` is a BCP 47 tag; only the Turkic i depends on it. */
export function normalize(query: string, locale = 'en'): string {
  // Most queries end here: nothing in them has another form, and the patterns above are costly to build.
  if (PRINTABLE_ASCII.test(query) && !TURKIC.test(locale)) return query.toLowerCase().replace(/ +/g, ' ').trim();
  // One mapping can expose the next (a removed joiner lets marks compose), so go on to the fixed point; two passes suffice in practice.
  let previous = query;
  for (let round = 0; round < 4; round++) {
    const next = pass(previous, locale);
    if (next === previous) return next;
    previous = next;
  }
  return previous;
}

/** Length in code points, as limits count it. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
