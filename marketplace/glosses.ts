/**
 * Glosses for the out-of-domain score: what a word means, for words that the market never sells and training never
 * says. A student that learnt only the market, and forgot the rest of the language, will not find the word.
 */
import type { Concepts } from './concepts.ts';
import type { Random } from './random.ts';
import { stem, tokens } from './word-forms.ts';
import type { WordNet } from './wordnet.ts';

/** Line of `glosses.jsonl`. */
export interface Gloss {
  readonly gloss: string;
  readonly lemma: string;
}

const GLOSSES = 2_000;
const SHORTEST = 12;
const LONGEST = 200;
const MOST_WORDS = 3;

const key = (words: readonly string[]): string => words.map(stem).join(' ');

/** Finds which of the phrases stand in a text as a run of words, up to plurals. */
function phraseFinder(phrases: Iterable<string>): (text: string) => string[] {
  const known = new Set(phrases);
  // A run is followed only as long as a phrase continues with it.
  const openings = new Set(
    [...known].flatMap((phrase) => [...phrase.matchAll(/ /g)].map(({ index }) => phrase.slice(0, index))),
  );
  return (text) => {
    const words = tokens(text).map(stem);
    return words.flatMap((word, start) => {
      const found = known.has(word) ? [word] : [];
      let run = word;
      for (let end = start + 1; end < words.length && openings.has(run); end++) {
        run += ` ${words[end]}`;
        if (known.has(run)) found.push(run);
      }
      return found;
    });
  };
}

export interface GlossSources {
  readonly wordNet: WordNet;
  readonly concepts: Concepts;
  /** All texts that training reads on the query side. */
  readonly trainingTexts: Iterable<string>;
}

/**
 * Nouns that are not concepts of the market, each lemma once and alone: neither it nor its gloss is in a training text,
 * and the gloss does not name it. In random order.
 */
export function glosses({ wordNet, concepts, trainingTexts }: GlossSources, random: Random): Gloss[] {
  const named = new Set([...concepts.values()].flatMap(({ names }) => names.map(({ text }) => key(tokens(text)))));
  const candidates = new Map<string, Gloss>();
  const glossesSeen = new Set<string>();
  for (const { id, pos, instance, lemmas, definition } of wordNet.synsets.values()) {
    const lemma = lemmas[0]?.text ?? '';
    const words = tokens(lemma);
    // Capitals are names of persons, places and species.
    if (pos !== 'n' || instance || concepts.has(id) || !/^[a-z][a-z' -]{2,}$/.test(lemma)) continue;
    if (words.length > MOST_WORDS || definition.length < SHORTEST || definition.length > LONGEST) continue;
    const word = key(words);
    if (named.has(word) || candidates.has(word) || glossesSeen.has(definition)) continue;
    if (phraseFinder(lemmas.map(({ text }) => key(tokens(text))))(definition).length > 0) continue;
    glossesSeen.add(definition);
    candidates.set(word, { gloss: definition, lemma });
  }
  const said = phraseFinder(candidates.keys());
  const trained = new Set<string>();
  for (const text of trainingTexts) {
    trained.add(text);
    for (const word of said(text)) candidates.delete(word);
  }
  const left = [...candidates.values()].filter(({ gloss }) => !trained.has(gloss));
  return random.sample(left, GLOSSES);
}
