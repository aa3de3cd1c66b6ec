/**
 * The query log: what people type for each concept, how often, in which market. Frequencies follow Zipf's law over the
 * whole log; everyday concepts and plain names lead it.
 */
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import type { AttributeSet } from './attributes.ts';
import type { Concept, Concepts } from './concepts.ts';
import type { Random } from './random.ts';
import type { Intent, Relevance } from './relevance.ts';
import { speakerOf } from './speaker.ts';
import type { Vocabulary } from './vocabulary.ts';

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
      const spoken = speaker(attempt, random);
      if (!spoken || seen.has(spoken.phrasing.normalized)) continue;
      const { phrasing, familiarity } = spoken;
      seen.add(phrasing.normalized);
      found++;
      const weight = (rank + 25) ** -0.9 * KIND_WEIGHT[phrasing.form] * familiarity;
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
