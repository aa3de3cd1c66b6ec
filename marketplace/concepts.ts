/**
 * The concepts of the market: WordNet synsets that people buy, and the broader terms above them that people also type.
 * Selection: below a department's roots, not below an excluded root, a gloss that reads like goods, and the most common first.
 */
import { commonness, countPhrases } from './commonness.ts';
import { DEPARTMENTS, EXCLUDED_GLOSS, EXCLUDED_OPENING, EXCLUDED_ROOTS } from './departments.ts';
import type { Synset, WordNet } from './wordnet.ts';

/** A word form that names a concept. */
export interface Name {
  readonly text: string;
  /** Relative frequency with which people say it, > 0; the names of a concept are sorted by it. */
  readonly weight: number;
}

/** A meaning that queries may ask for. */
export interface Concept {
  /** Synset id. */
  readonly id: string;
  /** Key of the department. */
  readonly department: string;
  /** Advertisers sell it; otherwise it is a broader term, such as `footwear`. */
  readonly sold: boolean;
  readonly names: readonly Name[];
  readonly definition: string;
  /** Score of how common the concept is; higher is more common. */
  readonly commonness: number;
  /** Countable things have plurals. */
  readonly countable: boolean;
}

/** Concepts by id, sold ones first, each part by falling commonness. */
export type Concepts = ReadonlyMap<string, Concept>;

const SOLD_CONCEPTS = 2_200;
/** A concept with more narrower meanings in WordNet is too vague to sell (`implement`). */
const MOST_NARROWER = 100;
/** A broader term spans at least and at most so many sold concepts. */
const BROADER_SPAN = [2, 60] as const;
const MOST_NAMES = 5;

/** Picks the market's concepts. Deterministic: it depends on the database alone. */
export function selectConcepts(wordNet: WordNet, sold = SOLD_CONCEPTS): Concepts {
  const departmentOf = assignDepartments(wordNet);
  const synsets = [...departmentOf.keys()].map((id) => wordNet.synsets.get(id)!);
  const forms = synsets.flatMap(({ lemmas }) => lemmas.map(({ text }) => text));
  const phraseCounts = countPhrases(wordNet, forms);

  const describe = (synset: Synset, isSold: boolean): Concept | undefined => {
    const names = namesOf(synset, phraseCounts);
    if (names.length === 0) return undefined;
    return {
      id: synset.id,
      department: departmentOf.get(synset.id)!,
      sold: isSold,
      names,
      definition: synset.definition,
      commonness: Math.max(...synset.lemmas.map((lemma) => commonness(lemma, phraseCounts))),
      countable: /^(an?|any|one|either|each)\b/i.test(synset.definition.replace(/^\([^)]*\)\s*/, '')),
    };
  };

  const goods = synsets
    .filter((synset) => isGoods(synset) && closure(wordNet, synset.id, 'hyponyms').size <= MOST_NARROWER)
    .flatMap((synset) => describe(synset, true) ?? [])
    .sort((a, b) => b.commonness - a.commonness || (a.id < b.id ? -1 : 1))
    .slice(0, sold);
  const concepts = new Map(goods.map((concept) => [concept.id, concept]));

  const span = new Map<string, number>();
  for (const { id } of goods) {
    for (const above of closure(wordNet, id, 'hypernyms'))
      if (above !== id) span.set(above, (span.get(above) ?? 0) + 1);
  }
  const broader = [...span]
    .filter(
      ([id, count]) =>
        count >= BROADER_SPAN[0] && count <= BROADER_SPAN[1] && departmentOf.has(id) && !concepts.has(id),
    )
    .flatMap(([id]) => describe(wordNet.synsets.get(id)!, false) ?? [])
    .sort((a, b) => b.commonness - a.commonness || (a.id < b.id ? -1 : 1));
  for (const term of broader) concepts.set(term.id, term);
  return concepts;
}

/** The synset itself and everything reachable over a relation. */
export function closure(wordNet: WordNet, id: string, relation: 'hypernyms' | 'hyponyms'): ReadonlySet<string> {
  const reached = new Set([id]);
  // A Set iterates over what is added on the way: this is the breadth-first walk.
  for (const at of reached) for (const next of wordNet.synsets.get(at)?.[relation] ?? []) reached.add(next);
  return reached;
}

function assignDepartments(wordNet: WordNet): ReadonlyMap<string, string> {
  const below = (keys: readonly string[]) =>
    new Set(keys.flatMap((key) => [...closure(wordNet, wordNet.bySenseKey(key).id, 'hyponyms')]));
  const excluded = below(EXCLUDED_ROOTS);
  const departmentOf = new Map<string, string>();
  for (const { key, roots } of DEPARTMENTS) {
    for (const id of below(roots)) if (!excluded.has(id) && !departmentOf.has(id)) departmentOf.set(id, key);
  }
  return departmentOf;
}

function isGoods({ instance, definition }: Synset): boolean {
  return !instance && !EXCLUDED_GLOSS.test(definition) && !EXCLUDED_OPENING.test(definition);
}

/** Forms that people would type for this meaning: not a far-fetched sense, not a scientific name, not an abbreviation. */
function namesOf(synset: Synset, phraseCounts: ReadonlyMap<string, number>): Name[] {
  const PLANT = 20;
  return synset.lemmas
    .filter(({ text, sense, tagCount }) => {
      if (!/^[A-Za-z][A-Za-z' -]{2,}$/.test(text) || text.split(' ').length > 3) return false;
      if (/^[A-Z]+$/.test(text) || (synset.lexFile === PLANT && /^[A-Z]/.test(text))) return false;
      return sense <= 2 || tagCount > 0;
    })
    .map((lemma) => ({ text: lemma.text, weight: 0.15 + commonness(lemma, phraseCounts) / Math.sqrt(lemma.sense) }))
    .sort((a, b) => b.weight - a.weight || (a.text < b.text ? -1 : 1))
    .slice(0, MOST_NAMES);
}
