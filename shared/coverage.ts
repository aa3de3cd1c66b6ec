/**
 * Index terms and lexical coverage: what the words of a query and of an ad have in common. The lexical retriever serves by
 * it and the recipe fits the relevance map with it, so both take it from here.
 *
 * Terms are lower case, freed of accents (and of the points of Hebrew and Arabic), and folded by the S-stemmer (Harman, 1991: plurals only, and the e of dresses);
 * stop words do not count. Coverage is the share of the query's information (inverse document frequency summed over its
 * distinct terms) that an ad matches. A term that no ad has weighs most, so an ad that matches only the common half of a
 * query is not sure of itself.
 */

import { normalize } from './text.ts';

/** Raised whenever {@link terms} may answer differently for any text. */
export const TERMS_VERSION = 2;

/** How sure a match in a field is that the ad is about the term. */
export const FIELD_CERTAINTY = { title: 1, keywords: 1, description: 0.6 } as const;
export type LexicalField = keyof typeof FIELD_CERTAINTY;

const STOP_WORDS = new Set(
  (
    'a an and any are as at be been but by can could did do does for from had has have how i if in into is it its me my ' +
    'no not of off on or our out should so some such than that the their them then there these they this those to up ' +
    'was we were what when where which who why will with would you your'
  ).split(' '),
);

/**
 * Plurals to singulars (Harman, 1991): ies to y, es to e, s to nothing, with his exceptions; then the e that only the
 * plural has (dresses, watches, boxes) goes, and with it that of the few singulars that end so, alike on both sides.
 */
export function singular(term: string): string {
  return strip(term).replace(/(ss|sh|ch|x|zz)e$/, '$1');
}

function strip(term: string): string {
  if (term.length < 4 || !term.endsWith('s')) return term;
  if (term.endsWith('ies')) return /[ea]ies$/.test(term) ? term : `${term.slice(0, -3)}y`;
  if (term.endsWith('es')) return /[aeo]es$/.test(term) ? term : term.slice(0, -1);
  return /[us]s$/.test(term) ? term : term.slice(0, -1);
}

/** The index term of a token, or `null` for a stop word. */
export function indexTerm(token: string): string | null {
  let term = token.toLowerCase();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range is meant
  if (!/^[\x00-\x7f]*$/.test(term)) term = withoutAccents(term);
  return !/[\p{L}\p{N}]/u.test(term) || STOP_WORDS.has(term) ? null : singular(term);
}

/** In other scripts marks are vowels, tones or consonants: without them it would be another word. */
function withoutAccents(term: string): string {
  const accents = /(?<=[\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}\p{sc=Hebrew}\p{sc=Arabic}])\p{M}+/gu;
  return term.normalize('NFD').replace(accents, '').normalize('NFC');
}

/** The tokens of a text, in order, as {@link indexTerm} takes them. */
export function tokens(text: string): string[] {
  // No patterns of Unicode classes outside functions: text.ts says why.
  return text.split(/[\p{Z}\p{P}\p{Cc}]+/u).filter((token) => token !== '');
}

/** A text as {@link terms} takes it. Terms are lower-cased anyway, so plain ASCII needs no normalisation, which is most of the work. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range is meant
export const forTerms = (text: string): string => (/^[\x00-\x7f]*$/.test(text) ? text : normalize(text));

/** Distinct index terms of a normalized text, stop words left out. */
export function terms(text: string): string[] {
  return [...new Set(tokens(text).flatMap((token) => indexTerm(token) ?? []))];
}

/** Information of a term that `having` of `ads` ads have (the probabilistic IDF of BM25, never negative). */
export function termWeight(ads: number, having: number): number {
  return Math.log(1 + (ads - having + 0.5) / (having + 0.5));
}

/** Coverage, 0 to 1, from the query's term weights and the certainty with which the ad has each (0 where it has not). */
export function coverage(weights: ReadonlyMap<string, number>, certaintyOf: (term: string) => number): number {
  let [covered, total] = [0, 0];
  for (const [term, weight] of weights) {
    covered += weight * certaintyOf(term);
    total += weight;
  }
  return total === 0 ? 0 : Math.min(1, covered / total);
}
