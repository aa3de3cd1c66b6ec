/** The concepts' relations: broader, narrower, siblings. Read once from WordNet's hypernyms. */
import { type Concepts, closure } from './concepts.ts';
import type { WordNet } from './wordnet.ts';

/** Answers about concepts of the market (sold or broader terms), transitively unless said otherwise. */
export interface Taxonomy {
  /** Broader concepts, any distance, nearest first. */
  broader(id: string): readonly string[];
  /** Narrower concepts that are sold, any distance, without the concept itself. */
  narrowerSold(id: string): readonly string[];
  /** Broader concepts at most `steps` hypernym edges up. */
  near(id: string, steps: number): readonly string[];
  /** Sold concepts under a common direct hypernym, when that hypernym is specific enough to make them alike. */
  siblings(id: string): readonly string[];
}

/** A hypernym with more sold concepts right under it than this (`device`, `garment`) says little about their likeness. */
const MOST_SIBLINGS = 12;

/** Builds the look-up tables. */
export function buildTaxonomy(wordNet: WordNet, concepts: Concepts): Taxonomy {
  const broader = new Map<string, string[]>();
  const narrower = new Map<string, string[]>();
  for (const { id, sold } of concepts.values()) {
    const above = [...closure(wordNet, id, 'hypernyms')].slice(1);
    broader.set(
      id,
      above.filter((other) => concepts.has(other)),
    );
    if (!sold) continue;
    for (const other of broader.get(id)!) narrower.set(other, [...(narrower.get(other) ?? []), id]);
  }
  return {
    broader: (id) => broader.get(id) ?? [],
    narrowerSold: (id) => narrower.get(id) ?? [],
    near(id, steps) {
      const reached = new Set<string>();
      let level = [id];
      for (let i = 0; i < steps; i++) {
        level = level.flatMap((at) => wordNet.synsets.get(at)?.hypernyms ?? []);
        for (const at of level) if (concepts.has(at)) reached.add(at);
      }
      return [...reached];
    },
    siblings(id) {
      const families = (wordNet.synsets.get(id)?.hypernyms ?? [])
        .map((parent) => wordNet.synsets.get(parent)!.hyponyms.filter((child) => concepts.get(child)?.sold))
        .filter((family) => family.length <= MOST_SIBLINGS);
      return [...new Set(families.flat())].filter((other) => other !== id);
    },
  };
}
