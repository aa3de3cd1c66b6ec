/**
 * When a keyword matches a query. The rules, and test/golden/match-types.json is their meaning in examples:
 *
 * - *exact*: the query says what the keyword says, no more and no less.
 * - *phrase*: the keyword's words stand in the query side by side and in their order.
 * - *broad*: the query has all of the keyword's words, wherever. (Related words are the business of dense retrieval.)
 *
 * What a narrower type matches, the wider ones match too. Keywords match *close variants*: plurals like singulars, accents
 * and apostrophes like none (a mark of Hindi, Thai or Japanese is no accent but another vowel or sound), function words as if
 * they were not there, and, for the exact type, another order of the words unless one of them gives the order its meaning
 * ("from paris to london"). Those few, and negations, are never left out.
 *
 * Negative keywords have no close variants: "shoe" does not hold off "shoes". Their words are compared as they are
 * written after normalisation (shared/text.ts), function words included. Neither kind tells the dotless i of Turkish
 * from i: a keyword has no locale, and so no capital that says which of them it is.
 */
import * as z from 'zod';
import { singular } from './coverage.ts';
import { normalize } from './text.ts';

export const MatchType = z.enum(['exact', 'phrase', 'broad']);
export type MatchType = z.infer<typeof MatchType>;

/** Bare function words: what is asked for is the same without them. */
const FUNCTION_WORDS = new Set(
  'a an the and or of for in on at by is are be am was were my your our their his her its it this that these those i you we me us do does can'.split(
    ' ',
  ),
);
/** Words that make the order of the others matter, or reverse the meaning of what follows them. */
const ORDERING = new Set(
  'to from with without no not non vs versus than before after into onto off under over'.split(' '),
);
/** Plurals that no rule reaches, as the rules leave them. */
const IRREGULAR = new Map(
  Object.entries({
    men: 'man',
    women: 'woman',
    children: 'child',
    feet: 'foot',
    teeth: 'tooth',
    mice: 'mouse',
    geese: 'goose',
    knive: 'knife',
    wive: 'wife',
    shelve: 'shelf',
    scarve: 'scarf',
    loave: 'loaf',
    leave: 'leaf',
    gase: 'gas',
    lense: 'lens',
    len: 'lens',
    wolve: 'wolf',
  }),
);

/**
 * Singular and plural in one form, which need be neither: what the S-stemmer of the index leaves apart (shoes and shoe,
 * movies and movie, viruses and virus, TVs) is the same here, where no terms are counted and folding too much costs
 * nothing.
 */
function number(word: string): string {
  const stem = singular(word)
    .replace(/([aeo]e)s$/, '$1')
    .replace(/oe$/, 'o')
    .replace(/ie$/, 'y')
    .replace(/use$/, 'us')
    .replace(/^([^aeiouy]{2,})s$/, '$1');
  return IRREGULAR.get(stem) ?? stem;
}

/** A keyword or a query as the rules compare it. */
export interface MatchForm {
  /** In their order; empty for a text without letters and digits, which matches nothing. */
  words: readonly string[];
  /** Whether another order says another thing. */
  ordered: boolean;
}

// No patterns of Unicode classes outside functions: text.ts says why.
function split(normalized: string): string[] {
  return normalized
    .replaceAll('\u0131', 'i')
    .split(/[\p{Z}\p{P}\s]+/u)
    .filter((word) => /[\p{L}\p{N}]/u.test(word));
}

/** Accents of Latin and Greek letters, stress and the two dots of Russian ё, and the points of Hebrew and Arabic. */
const withoutAccents = (text: string): string =>
  text
    .normalize('NFD')
    .replace(/([\p{Script=Latin}\p{Script=Greek}])\p{M}+/gu, '$1')
    .replace(
      /(?<=[\u0430\u0435\u0438\u043E\u0443\u044B\u044D-\u044F\u0454\u0456])[\u0300\u0301]|(?<=\u0435)\u0308/gu,
      '',
    )
    .replace(/[\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u064B-\u065F\u0670]/gu, '')
    .normalize('NFC');

/** The form under which close variants are the same; of keywords, and of queries that are compared with them. */
export function closeForm(text: string): MatchForm {
  const joined = normalize(text).replace(/(?<=\p{L})'(?=\p{L})/gu, '');
  const all = split(withoutAccents(joined));
  const content = all.filter((word) => !FUNCTION_WORDS.has(word));
  // What consists of function words alone ("the who") means them.
  const words = (content.length > 0 ? content : all).map(number);
  return { words, ordered: content.length === 0 || words.some((word) => ORDERING.has(word)) };
}

/** The words as they are written; of negative keywords, and of queries that are compared with them. */
export function literalForm(text: string): MatchForm {
  return { words: split(normalize(text)), ordered: true };
}

/** Whether a keyword matches under a match type; both forms are made by the same function. */
export function matches(keyword: MatchForm, query: MatchForm, match: MatchType): boolean {
  if (keyword.words.length === 0 || keyword.words.length > query.words.length) return false;
  if (match === 'broad') return keyword.words.every((word) => query.words.includes(word));
  if (match === 'phrase' && contains(query.words, keyword.words)) return true;
  if (keyword.words.length !== query.words.length) return false;
  return keyword.ordered || query.ordered
    ? contains(query.words, keyword.words)
    : sameWords(keyword.words, query.words);
}

/** Whether the words stand in `all` side by side and in this order. */
function contains(all: readonly string[], words: readonly string[]): boolean {
  for (let at = 0; at + words.length <= all.length; at++)
    if (words.every((word, i) => all[at + i] === word)) return true;
  return false;
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  const sorted = [...b].sort();
  return [...a].sort().every((word, i) => word === sorted[i]);
}
