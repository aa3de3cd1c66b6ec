/**
 * Typos corrected before a student reads a query: a small encoder sees a word that it never met as pieces that mean
 * nothing. A large teacher with offline context does not need it. No word is lost, since lexical retrieval reads the
 * query as it came.
 *
 * A word that nobody uses becomes the most common word at one edit from it: a letter left out, added, exchanged, or two
 * swapped, which is what most typos are (Damerau, CACM 7(3), 1964). The first letter stays, as people seldom get it
 * wrong (Yannakoudakis and Fawthrop, 1983).
 */
import * as z from 'zod';
import { singular } from './coverage.ts';

/** Words separated by spaces, normalized. `spelling.json` of a bundle. */
export const SpellingTable = z.lazy(() =>
  z.strictObject({
    /** What a typo may have meant, the most common first. */
    suggested: z.string(),
    /** Other words that are right as they are. */
    known: z.string(),
  }),
);
export type SpellingTable = z.infer<typeof SpellingTable>;

/** A normalized text with its typos corrected; a text without any comes back as it is. */
export type Spelling = (text: string) => string;

/** Shorter words are too near each other, longer ones are no words. */
const [SHORTEST, LONGEST] = [4, 24];
/** Unknown words looked at in one text: bounds the work on a text of any length. */
export const MOST_UNKNOWN = 12;
/** Letters that may have been meant: the most used ones, an alphabet or two. */
const LETTERS = 64;

// No patterns of Unicode classes outside functions: text.ts says why.
function tokenPattern(): RegExp {
  return /[\p{L}\p{M}\p{N}]+/gu;
}

/** Whether a token is a word: what has a digit is a size or a model. */
export function isLetters(token: string): boolean {
  return /^[\p{L}\p{M}]+$/u.test(token);
}

/** The words of a normalized text. */
export const words = (text: string): string[] => (text.match(tokenPattern()) ?? []).filter(isLetters);

function commonLetters(among: Iterable<string>): string[] {
  const counts = new Map<string, number>();
  for (const word of among) for (const letter of word) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  return [...counts]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, LETTERS)
    .map(([letter]) => letter);
}

/** 32-bit FNV-1a over UTF-16 units: of `text`, after what `hash` is of. */
function hashOn(hash: number, text: string): number {
  let on = hash;
  for (let at = 0; at < text.length; at++) on = Math.imul(on ^ text.charCodeAt(at), 0x01000193);
  return on;
}
const START = 0x811c9dc5;

/**
 * Words by the hash of their letters, in open addressing: a candidate that is not a word costs neither a string nor a
 * search.
 */
class WordTable {
  readonly words: readonly string[];
  readonly #hashes: Int32Array;
  /** Numbers of words + 1, by hash. */
  readonly #places: Int32Array;

  constructor(list: readonly string[]) {
    this.words = list;
    this.#hashes = Int32Array.from(list, (word) => hashOn(START, word));
    this.#places = new Int32Array(2 ** Math.ceil(Math.log2(2 * list.length + 1)));
    this.#hashes.forEach((hash, word) => {
      this.#places[this.#placeOf(hash)] ||= word + 1;
    });
  }

  #placeOf(hash: number): number {
    const last = this.#places.length - 1;
    let at = hash & last;
    for (let word = this.#places[at]!; word !== 0 && this.#hashes[word - 1] !== hash; word = this.#places[at]!)
      at = (at + 1) & last;
    return at;
  }

  /** Number of the word with this hash, or -1; whether it is the word that was meant is for the caller to check. */
  numberOf(hash: number): number {
    return this.#places[this.#placeOf(hash)]! - 1;
  }

  has(word: string): boolean {
    return this.words[this.numberOf(hashOn(START, word))] === word;
  }
}

/**
 * All strings at one edit from a word, some twice: its letters before `at`, then `between`, then those from `resume` on. The first letter
 * changes only by a swap with the second.
 */
function forEachEdit(
  typed: readonly string[],
  letters: readonly string[],
  visit: (at: number, between: string, resume: number) => void,
): void {
  const { length } = typed;
  for (let at = 0; at + 1 < length; at++) visit(at, typed[at + 1]! + typed[at]!, at + 2);
  for (let at = 1; at < length; at++) visit(at, '', at + 1);
  for (const letter of letters)
    for (let at = 1; at <= length; at++) {
      visit(at, letter, at);
      if (at < length) visit(at, letter, at + 1);
    }
}

export function openSpelling(table: SpellingTable): Spelling {
  const suggested = words(table.suggested);
  // What is only known comes behind all that may have been meant.
  const all = new WordTable([...suggested, ...words(table.known)]);
  const letters = commonLetters(suggested);
  const isRight = (word: string) => all.has(word) || all.has(singular(word)) || !isLetters(word);

  const meant = (word: string): string => {
    const typed = [...word];
    const after = [...typed.keys(), typed.length].map((at) => typed.slice(at).join(''));
    const hashBefore = after.map((rest) => hashOn(START, word.slice(0, word.length - rest.length)));
    let best = suggested.length;
    forEachEdit(typed, letters, (at, between, resume) => {
      const number = all.numberOf(hashOn(hashOn(hashBefore[at]!, between), after[resume]!));
      if (number < 0 || number >= best) return;
      if (all.words[number] === typed.slice(0, at).join('') + between + after[resume]!) best = number;
    });
    return best < suggested.length ? suggested[best]! : word;
  };
  return (text) => {
    let left = MOST_UNKNOWN;
    return text.replace(tokenPattern(), (word) => {
      if (word.length < SHORTEST || word.length > LONGEST || isRight(word) || left === 0) return word;
      left--;
      return meant(word);
    });
  };
}
