/**
 * Who says what: the names that advertisers use for a concept, and those that only shoppers use. In sponsored search
 * the two differ, and lexical retrieval fails where they do; here the split is drawn once per concept, for all its
 * advertisers.
 */
import type { Concept, Concepts, Name } from './concepts.ts';
import type { Random } from './random.ts';
import type { Taxonomy } from './taxonomy.ts';
import { isFunctionWord, stem, tokens } from './word-forms.ts';

/** The advertisers' side of the language. */
export interface Vocabulary {
  /** Names of a concept that its ads use, at least one. */
  adNames(conceptId: string): readonly Name[];
  /** Stems that an ad for the concept avoids: names of it, or of what is broader, that advertisers do not use. */
  avoided(conceptId: string): ReadonlySet<string>;
}

/** How often advertisers care less about which name is the usual one: the square root flattens the weights. */
const INDIFFERENT = 0.4;
/** How often they use a second name, where there are three or more. */
const SECOND_NAME = 0.3;

/** Draws the split. */
export function splitVocabulary(concepts: Concepts, taxonomy: Taxonomy, random: Random): Vocabulary {
  const used = new Map<string, readonly Name[]>();
  for (const concept of concepts.values()) used.set(concept.id, drawAdNames(concept, random));
  const stemsOf = (names: readonly Name[]) =>
    names.flatMap(({ text }) =>
      tokens(text)
        .filter((word) => !isFunctionWord(word))
        .map(stem),
    );
  const avoided = new Map<string, ReadonlySet<string>>();
  return {
    adNames: (id) => used.get(id) ?? [],
    avoided(id) {
      let stems = avoided.get(id);
      if (!stems) {
        const meant = [id, ...taxonomy.broader(id)].flatMap((above) => concepts.get(above) ?? []);
        const hidden = meant.flatMap((concept) =>
          concept.names.filter((name) => !used.get(concept.id)!.includes(name)),
        );
        const allowed = new Set(stemsOf(used.get(id)!));
        stems = new Set(stemsOf(hidden).filter((word) => !allowed.has(word)));
        avoided.set(id, stems);
      }
      return stems;
    },
  };
}

function drawAdNames({ names }: Concept, random: Random): readonly Name[] {
  if (names.length === 1) return names;
  const first = random.weighted(
    names,
    random.chance(INDIFFERENT) ? ({ weight }) => Math.sqrt(weight) : ({ weight }) => weight,
  );
  if (names.length < 3 || !random.chance(SECOND_NAME)) return [first];
  const rest = names.filter((name) => name !== first);
  return [first, random.weighted(rest, ({ weight }) => weight)];
}
