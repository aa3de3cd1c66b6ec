/** Runs of words, for leak tests: written without the code under test, so that an error there cannot hide itself here. */
import { normalize } from '../../shared/text.ts';

const words = (text: string) => normalize(text).match(/[\p{L}\p{N}]+(?:'\p{L}+)?/gu) ?? [];

/** A finder of phrases in texts: the phrases that stand in a text as a run of words. */
export function findPhrases(phrases: readonly string[], texts: Iterable<string>): string[] {
  const wanted = new Set(phrases.map((phrase) => words(phrase).join(' ')));
  const longest = Math.max(...[...wanted].map((phrase) => phrase.split(' ').length));
  const found = new Set<string>();
  for (const text of texts) {
    const run = words(text);
    for (let from = 0; from < run.length; from++) {
      for (let to = from + 1; to <= Math.min(run.length, from + longest); to++) {
        const phrase = run.slice(from, to).join(' ');
        if (wanted.has(phrase)) found.add(phrase);
      }
    }
  }
  return [...found];
}

/** The words of a query in alphabetical order. */
export function sortedWords(query: string): string {
  return normalize(query).split(' ').sort().join(' ');
}
