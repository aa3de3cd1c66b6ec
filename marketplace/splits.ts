/**
 * Training, validation and test. By phrasing: all queries with the same words, whatever their order, fall on one side
 * (interpolation). By concept: some concepts are held out with everything that is said about them (extrapolation).
 */
import { hash32 } from '../shared/experiment.ts';
import type { Concepts } from './concepts.ts';
import type { Random } from './random.ts';
import type { Taxonomy } from './taxonomy.ts';
import { plural, tokens } from './word-forms.ts';

export type Split = 'train' | 'validation' | 'test';

/** The sorted words of a normalized query: two queries with one key differ in word order only. */
export function phrasingKey(normalizedQuery: string): string {
  return tokens(normalizedQuery).sort().join(' ');
}

/** The concepts that training never hears of. */
export interface HeldOut {
  has(conceptId: string): boolean;
  readonly ids: readonly string[];
  /** Whether a plain or normalized text holds a name of a held-out concept, in singular or plural. */
  mentions(text: string): boolean;
}

const HELD_OUT_SHARE = 0.09;
/** A concept with more narrower ones would take too much with it. */
const LARGEST_FAMILY = 4;
/** Names this common stand in too many texts about other things. */
const MOST_COMMON = 5;

/** Draws whole families (a concept with all its narrower ones) whose names no other concept shares. */
export function holdOut(concepts: Concepts, taxonomy: Taxonomy, random: Random): HeldOut {
  const sold = [...concepts.values()].filter((concept) => concept.sold);
  const meanings = new Map<string, string[]>();
  for (const { id, names } of concepts.values()) {
    for (const { text } of names) {
      const form = text.toLowerCase();
      meanings.set(form, [...(meanings.get(form) ?? []), id]);
    }
  }
  const ids = new Set<string>();
  for (const { id } of random.sample(sold, sold.length)) {
    if (ids.size >= sold.length * HELD_OUT_SHARE) break;
    const family = [id, ...taxonomy.narrowerSold(id)];
    const fits = family.every((member) => {
      const { commonness, names } = concepts.get(member)!;
      return (
        commonness <= MOST_COMMON &&
        names.every(({ text }) => meanings.get(text.toLowerCase())!.every((meaning) => family.includes(meaning)))
      );
    });
    if (fits && family.length <= LARGEST_FAMILY) for (const member of family) ids.add(member);
  }
  const forms = [...ids].flatMap((id) => concepts.get(id)!.names.flatMap(({ text }) => [text, plural(text)]));
  const mentions = phraseFinder(forms.map(tokens));
  return { has: (id) => ids.has(id), ids: [...ids].sort(), mentions };
}

/** Tells whether a text holds one of the phrases as a run of words. */
function phraseFinder(phrases: readonly (readonly string[])[]): (text: string) => boolean {
  const byFirst = Map.groupBy(phrases, ([first]) => first);
  return (text) => {
    const words = tokens(text);
    return words.some((word, at) =>
      byFirst.get(word)?.some((phrase) => phrase.every((expected, i) => words[at + i] === expected)),
    );
  };
}

/**
 * Orders keys by a seeded hash, so that the first so many make a random sample that does not depend on generation
 * order. A key of weight w is about w times as likely to come first (Efraimidis and Spirakis, 2006).
 */
export function shuffleKeys(
  keys: Iterable<string>,
  seed: number,
  weightOf: (key: string) => number = () => 1,
): string[] {
  return [...keys]
    .map((key) => ({ key, rank: ((hash32(`split:${seed}:${key}`) + 1) / 0x1_0000_0001) ** (1 / weightOf(key)) }))
    .sort((a, b) => b.rank - a.rank || (a.key < b.key ? -1 : 1))
    .map(({ key }) => key);
}
