/**
 * Slips of the finger put right before a student reads a query: a small encoder sees a word that it never met as pieces that mean nothing.
 * A large teacher with offline context has no need of it; words themselves are never lost, since lexical retrieval reads the query as it came.
 *
 * A word that nobody uses becomes the commonest word at one edit from it: a letter left out, added, exchanged, or two swapped, which is what
 * most slips are (Damerau, CACM 7(3), 1964). The first letter stays, as people seldom get it wrong (Yannakoudakis and Fawthrop, 1983).
 */
import * as z from 'zod';
import { singular } from './coverage.ts';

/** Words separated by spaces, normalized. `spelling.json` of a bundle. */
export const SpellingTable = z.strictObject({
  /** What a slip may have meant, the commonest first. */
  suggested: z.string(),
  /** Other words that are right as they are. */
  known: z.string(),
});
export type SpellingTable = z.infer<typeof SpellingTable>;

/** A normalized text with its slips put right; a text without any comes back as it is. */
export type Spelling = (text: string) => string;

/** Shorter words are too near each other, longer ones are no words. */
const [SHORTEST, LONGEST] = [4, 24];
/** Unknown words looked at in one text: bounds the work on a text of any length. */
const MOST = 12;
/** Letters that may have been meant: the most used ones, an alphabet or two. */
const LETTERS = 64;

/** Letters and digits together: what has a digit is a size or a model, not a word. */
const TOKEN = /[\p{L}\p{M}\p{N}]+/gu;
const isLetters = (token: string): boolean => /^[\p{L}\p{M}]+$/u.test(token);

/** The words of a normalized text. */
export const words = (text: string): string[] => (text.match(TOKEN) ?? []).filter(isLetters);

function commonLetters(among: Iterable<string>): string[] {
  const counts = new Map<string, number>();
  for (const word of among) for (const letter of word) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  return [...counts]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, LETTERS)
    .map(([letter]) => letter);
}

/** All strings at one edit from a word, some twice; the first letter changes only by a swap with the second. */
function* edits(word: string, letters: readonly string[]): Generator<string> {
  const typed = [...word];
  const before = typed.map((_, at) => typed.slice(0, at).join(''));
  const after = typed.map((_, at) => typed.slice(at + 1).join(''));
  for (let at = 0; at + 1 < typed.length; at++) yield before[at]! + typed[at + 1]! + typed[at]! + after[at + 1]!;
  for (let at = 1; at < typed.length; at++) yield before[at]! + after[at]!;
  for (const letter of letters)
    for (let at = 1; at < typed.length; at++) {
      yield before[at]! + letter + after[at]!;
      yield before[at]! + letter + typed[at]! + after[at]!;
    }
  for (const letter of letters) yield word + letter;
}

export function openSpelling(table: SpellingTable): Spelling {
  const suggested = words(table.suggested);
  const rank = new Map(suggested.map((word, i) => [word, i]));
  // One look-up tells a word, whichever list it is of: what is only known is never meant.
  for (const word of words(table.known)) rank.set(word, Number.POSITIVE_INFINITY);
  const letters = commonLetters(suggested);
  const isRight = (word: string) => rank.has(word) || rank.has(singular(word)) || !isLetters(word);

  const meant = (word: string): string => {
    let [best, bestRank] = [word, Number.POSITIVE_INFINITY];
    for (const candidate of edits(word, letters)) {
      const at = rank.get(candidate);
      if (at !== undefined && at < bestRank) [best, bestRank] = [candidate, at];
    }
    return best;
  };
  return (text) => {
    // Most queries are words that everybody uses.
    if (text.split(' ').every((word) => rank.has(word))) return text;
    let left = MOST;
    return text.replace(TOKEN, (word) => {
      if (word.length < SHORTEST || word.length > LONGEST || isRight(word) || left === 0) return word;
      left--;
      return meant(word);
    });
  };
}
