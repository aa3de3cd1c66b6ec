/**
 * How common a word form is, from WordNet itself: sense-tagged counts, and how often its own glosses and examples (some
 * 1.6 million words of plain English) use the form. Everyday things come out first: no list of them is typed in anywhere.
 */
import type { Lemma, WordNet } from './wordnet.ts';

const LONGEST_PHRASE = 3;

/** Counts of phrases in the glosses and examples of all synsets; plain plurals count for their singular. */
export function countPhrases(wordNet: WordNet, phrases: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const openings = new Set<string>();
  for (const phrase of phrases) {
    const key = phrase.toLowerCase();
    counts.set(key, 0);
    const space = key.indexOf(' ');
    if (space > 0) openings.add(key.slice(0, space));
  }
  const count = (phrase: string) => {
    const exact = counts.get(phrase);
    if (exact !== undefined) counts.set(phrase, exact + 1);
    else if (phrase.endsWith('s')) {
      const singular = phrase.slice(0, -1);
      const found = counts.get(singular);
      if (found !== undefined) counts.set(singular, found + 1);
    }
  };
  const countAll = (text: string) => {
    const words = text.toLowerCase().match(/[a-z0-9'-]+/g) ?? [];
    for (let i = 0; i < words.length; i++) {
      let phrase = words[i]!;
      count(phrase);
      if (!openings.has(phrase)) continue;
      for (let n = 1; n < LONGEST_PHRASE && i + n < words.length; n++) {
        phrase += ` ${words[i + n]!}`;
        count(phrase);
      }
    }
  };
  for (const synset of wordNet.synsets.values()) {
    countAll(synset.definition);
    for (const example of synset.examples) countAll(example);
  }
  return counts;
}

/** Share of a form's uses that mean its nth sense: a rough guess that serves ranking only. */
const SENSE_SHARE = [1, 0.3, 0.08];

/** Usage score of a form in one sense; 0 for a form that no text uses. */
export function commonness(lemma: Lemma, phraseCounts: ReadonlyMap<string, number>): number {
  const share = SENSE_SHARE[lemma.sense - 1] ?? 0.02;
  return share * Math.log1p(phraseCounts.get(lemma.text.toLowerCase()) ?? 0) + Math.log1p(lemma.tagCount);
}
