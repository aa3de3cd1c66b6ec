/**
 * Queries with a word that no training query had. What a student makes of such a word is a guess from its pieces: its cosines say less
 * than they do elsewhere, the ads' own words more. So these queries have a relevance map of their own (shared/relevance.ts).
 */
import * as z from 'zod';
import { terms } from './coverage.ts';
import { isLetters, type Spelling } from './spelling.ts';

/** `asked-terms.json` of a bundle. */
export const AskedTerms = z.strictObject({
  /** Index terms (coverage.ts) of all training queries, separated by spaces. */
  terms: z.string(),
});
export type AskedTerms = z.infer<typeof AskedTerms>;

/** The terms of a normalized query that are new words. */
export type NewWordsOf = (query: string) => string[];

/**
 * @param correct Corrects typos as the student's tokenizer does: a mistyped word that was asked before is not a new
 * word.
 */
export function openAskedTerms(asked: AskedTerms, correct: Spelling = (text) => text): NewWordsOf {
  const known = new Set(asked.terms.split(' '));
  // Every size or model number is new sooner or later, and their digits are read as they are.
  const unasked = (text: string) => terms(text).filter((term) => isLetters(term) && !known.has(term));
  return (query) => {
    const typed = unasked(query);
    if (typed.length === 0) return typed;
    const read = new Set(unasked(correct(query)));
    return typed.filter((term) => read.has(term));
  };
}
