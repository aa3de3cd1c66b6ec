/**
 * The query log: what people type for each concept, how often, in which market. Frequencies follow Zipf's law over the
 * whole log; everyday concepts and plain names lead it.
 */
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { normalize } from '../shared/text.ts';
import { type Attribute, type AttributeSet, drawAttributes, openAttributes } from './attributes.ts';
import type { Concept, Concepts } from './concepts.ts';
import { mistype, paraphrase, reorder, shoppingPhrase } from './phrasing.ts';
import type { Random } from './random.ts';
import type { Intent, Relevance } from './relevance.ts';
import { phrasingKey } from './splits.ts';
import type { Vocabulary } from './vocabulary.ts';
import { plural, sentenceCase } from './word-forms.ts';

/**
 * How a phrasing came about: `name` a name that ads use, `synonym` one that they do not, `broader` any phrasing of a term
 * above what is sold, and then what was done to a name.
 */
export type QueryKind =
  | 'name'
  | 'synonym'
  | 'plural'
  | 'modifier'
  | 'attribute'
  | 'brand'
  | 'broader'
  | 'gloss'
  | 'order'
  | 'typo';

/** A phrasing as typed, before it is numbered and split. */
export interface Phrasing {
  readonly text: string;
  readonly normalized: string;
  /** Its words after normalisation, sorted: see `phrasingKey`. */
  readonly key: string;
  readonly kind: QueryKind;
  /** The same, whatever the concept: never `broader`. */
  readonly form: Exclude<QueryKind, 'broader'>;
  /** The concept that the person has in mind. */
  readonly conceptId: string;
  /** What the words ask for: all concepts that share the name, not only the one in mind. */
  readonly intent: Intent;
}

/** A query of the log. */
export interface Query extends Phrasing {
  readonly id: string;
  readonly market: string;
  /** Times it was asked in the period of the log. */
  readonly frequency: number;
  readonly slice: 'interpolation' | 'extrapolation';
}

export interface QuerySources {
  readonly concepts: Concepts;
  readonly attributes: ReadonlyMap<string, AttributeSet>;
  readonly vocabulary: Vocabulary;
  /** Brands by department. */
  readonly brands: ReadonlyMap<string, readonly string[]>;
}

/** Distinct phrasings of the whole log, all splits. */
const PHRASINGS = 128_000;
const FEWEST_A_CONCEPT = 38;
const MOST_A_CONCEPT = 200;
const NO_STEMS: ReadonlySet<string> = new Set();

/** All phrasings, distinct under normalisation, the most asked for first. */
export function phraseQueries(sources: QuerySources, random: Random): Phrasing[] {
  const concepts = [...sources.concepts.values()];
  const meanings = meaningsByName(concepts);
  // The rank is over sold concepts and broader terms alike, by how common they are.
  const ranked = concepts.sort((a, b) => b.commonness - a.commonness || (a.id < b.id ? -1 : 1));
  const weights = ranked.map((_, rank) => (rank + 60) ** -0.6);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const seen = new Set<string>();
  const scored: { phrasing: Phrasing; score: number }[] = [];
  for (const [rank, concept] of ranked.entries()) {
    const share = Math.round((PHRASINGS * weights[rank]!) / total);
    const wanted = Math.min(MOST_A_CONCEPT, Math.max(FEWEST_A_CONCEPT, share));
    const speaker = speakerOf({ concept, sources, meanings });
    let found = 0;
    for (let attempt = 0; found < wanted && attempt < wanted * 4; attempt++) {
      const phrasing = speaker(attempt, random);
      if (!phrasing) continue;
      if (seen.has(phrasing.normalized)) continue;
      seen.add(phrasing.normalized);
      found++;
      const weight = (rank + 25) ** -0.9 * KIND_WEIGHT[phrasing.form];
      scored.push({ phrasing, score: random.logNormal(concept.sold ? weight : weight * BROADER_WEIGHT, 0.7) });
    }
  }
  return scored.sort((a, b) => b.score - a.score).map(({ phrasing }) => phrasing);
}

const KIND_WEIGHT: Readonly<Record<Phrasing['form'], number>> = {
  name: 12,
  synonym: 8,
  plural: 6,
  modifier: 2,
  attribute: 1.5,
  brand: 1,
  gloss: 0.6,
  order: 0.6,
  typo: 0.5,
};
/** People who shop mostly know what they want. */
const BROADER_WEIGHT = 0.4;

function meaningsByName(concepts: readonly Concept[]): ReadonlyMap<string, readonly string[]> {
  const meanings = new Map<string, string[]>();
  for (const { id, names } of concepts) {
    for (const { text } of names) {
      const form = text.toLowerCase();
      meanings.set(form, [...(meanings.get(form) ?? []), id]);
    }
  }
  return meanings;
}

type Draft = Pick<Phrasing, 'text' | 'form' | 'intent'>;

/** What people who think of a concept type: first its names, then whatever chance brings. */
function speakerOf(options: {
  concept: Concept;
  sources: QuerySources;
  meanings: ReadonlyMap<string, readonly string[]>;
}): (attempt: number, random: Random) => Phrasing | undefined {
  const { concept, sources, meanings } = options;
  const used = new Set(sources.vocabulary.adNames(concept.id));
  const open = openAttributes(concept, sources.attributes.get(concept.department)!, NO_STEMS);
  const brands = sources.brands.get(concept.department) ?? [];
  const names = concept.names.map((name) => ({ ...name, text: name.text.toLowerCase(), own: used.has(name) }));
  const intentOf = (name: string, more: Partial<Intent> = {}): Intent => ({
    targets: meanings.get(name)!,
    attributes: [],
    ...more,
  });
  // People know the rarer names too: the exponent flattens the weights.
  const drawName = (random: Random) => random.weighted(names, ({ weight }) => weight ** 0.4);
  const inflect = (text: string, random: Random) => (concept.countable && random.chance(0.4) ? plural(text) : text);

  const described = (random: Random): Draft | undefined => {
    const name = drawName(random);
    const attributes: readonly Attribute[] = random.sample(drawAttributes(open, random), 2);
    if (attributes.length === 0) return undefined;
    const words = attributes.map(({ names: forms }) =>
      random.weighted(forms, (form) => (forms.indexOf(form) + 1) ** -1.5),
    );
    const text = random.chance(0.85)
      ? [...words, inflect(name.text, random)].join(' ')
      : `${inflect(name.text, random)} in ${words.join(' ')}`;
    return { text, form: 'attribute', intent: intentOf(name.text, { attributes }) };
  };
  const shopping = (random: Random): Draft => {
    const name = drawName(random);
    return {
      text: shoppingPhrase({ text: name.text, countable: concept.countable }, random),
      form: 'modifier',
      intent: intentOf(name.text),
    };
  };
  const branded = (random: Random): Draft | undefined => {
    if (brands.length === 0) return undefined;
    const name = drawName(random);
    const brand = random.pick(brands);
    const words = [brand.toLowerCase(), inflect(name.text, random)];
    return {
      text: (random.chance(0.7) ? words : words.reverse()).join(' '),
      form: 'brand',
      intent: intentOf(name.text, { brand }),
    };
  };
  const glossed = (random: Random): Draft | undefined => {
    const text = paraphrase(
      concept.definition,
      names.map((name) => name.text),
      random,
    );
    return text === undefined ? undefined : { text, form: 'gloss', intent: { targets: [concept.id], attributes: [] } };
  };
  const changed = (
    form: 'order' | 'typo',
    change: (text: string, random: Random) => string | undefined,
    random: Random,
  ): Draft | undefined => {
    const name = drawName(random);
    const base =
      random.chance(0.3) && form === 'typo'
        ? { text: inflect(name.text, random), intent: intentOf(name.text) }
        : random.chance(0.6)
          ? described(random)
          : shopping(random);
    const text = base && change(base.text, random);
    return base && text !== undefined && text !== base.text ? { text, form, intent: base.intent } : undefined;
  };

  return (attempt, random) => {
    const draft = opening(attempt, names, concept.countable, intentOf) ?? drawDraft(random);
    if (!draft) return undefined;
    const kind = concept.sold ? draft.form : 'broader';
    // A few people start with a capital.
    const text = random.chance(0.04) ? sentenceCase(draft.text) : draft.text;
    const normalized = normalize(text);
    return { ...draft, text, normalized, key: phrasingKey(normalized), kind, conceptId: concept.id };
  };

  function drawDraft(random: Random): Draft | undefined {
    const point = random.next();
    if (point < 0.3) return shopping(random);
    if (point < 0.58) return described(random);
    if (point < 0.78) return glossed(random);
    if (point < 0.81) return branded(random);
    if (point < 0.9) return changed('order', reorder, random);
    return changed('typo', mistype, random);
  }
}

/** The plain names and their plurals come first, so that every concept has them. */
function opening(
  attempt: number,
  names: readonly { text: string; own: boolean }[],
  countable: boolean,
  intentOf: (name: string) => Intent,
): Draft | undefined {
  const name = names[attempt % names.length];
  if (!name || attempt >= names.length * 2) return undefined;
  if (attempt < names.length)
    return { text: name.text, form: name.own ? 'name' : 'synonym', intent: intentOf(name.text) };
  return countable ? { text: plural(name.text), form: 'plural', intent: intentOf(name.text) } : undefined;
}

const ZIPF_EXPONENT = 0.85;
const TOP_FREQUENCY = 30_000;

/** Times that the query of a rank (0 is the most asked) is asked; at least once. */
export function zipfFrequency(rank: number): number {
  return Math.max(1, Math.round(TOP_FREQUENCY / (rank + 1) ** ZIPF_EXPONENT));
}

const MARKET_SHARES = [0.7, 0.18, 0.12];
const WORTHWHILE_SUPPLY = 10;

/** The market where a query is asked: abroad only where enough is sold for it, since people learn what they can find. */
export function drawMarket(intent: Intent, relevance: Relevance, random: Random): string {
  const markets = DEFAULT_CONFIG.markets;
  const home = markets[0] ?? 'us';
  const market = random.weighted(markets, (key) => MARKET_SHARES[markets.indexOf(key)] ?? 0);
  return market === home || relevance.countRelevant(intent.targets, market) >= WORTHWHILE_SUPPLY ? market : home;
}
