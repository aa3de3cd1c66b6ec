/**
 * Graded relevance of an ad to what a query asks for, read off the relation graph:
 * 3 the same concept, 2 a narrower one (a query for seats, an ad for sofas), 1 a broader one at most two steps up, or a
 * sibling under a specific common hypernym, 0 otherwise. Grades of 2 and more count as relevant.
 * An ad whose colour, material, size or brand contradicts one that the query names gets at most 2: still the thing asked for.
 */
import { type Attribute, EXCLUSIVE_KINDS } from './attributes.ts';
import type { CatalogueAd } from './catalogue.ts';
import type { Taxonomy } from './taxonomy.ts';

export type Grade = 0 | 1 | 2 | 3;
/** The lowest grade that counts as relevant. */
export const RELEVANT = 2;

/** What a query asks for. */
export interface Intent {
  /** Concept ids; more than one when the words have several meanings in the market. */
  readonly targets: readonly string[];
  readonly attributes: readonly Attribute[];
  readonly brand?: string;
}

/** An ad with its grade. */
export interface Judgement {
  readonly item: CatalogueAd;
  readonly grade: Grade;
}

/** Judges ads for intents. */
export interface Relevance {
  /** Grade of an ad; 0 for an ad that the catalogue does not hold. */
  grade(intent: Intent, adId: string): Grade;
  /** Active ads of a market with a grade of at least 1, the better grades first, then as in the catalogue. */
  judge(intent: Intent, market: string): Judgement[];
  /** How many active ads of a market are relevant to a concept, attributes aside. */
  countRelevant(targets: readonly string[], market: string): number;
}

const BROADER_STEPS = 2;

/** Builds the judge of a catalogue. */
export function createRelevance(taxonomy: Taxonomy, catalogue: readonly CatalogueAd[]): Relevance {
  const byId = new Map(catalogue.map((item) => [item.ad.id, item]));
  // Places in the catalogue of the active ads, by concept and market.
  const live = new Map<string, number[]>();
  for (const [place, { ad, conceptId }] of catalogue.entries()) {
    if (ad.status !== 'active') continue;
    for (const market of ad.markets) {
      const key = `${conceptId} ${market}`;
      const places = live.get(key);
      if (places) places.push(place);
      else live.set(key, [place]);
    }
  }
  const liveAds = (concept: string, market: string) => live.get(`${concept} ${market}`) ?? [];

  const cache = new Map<string, ReadonlyMap<string, Grade>>();
  const gradesFor = (target: string): ReadonlyMap<string, Grade> => {
    let grades = cache.get(target);
    if (!grades) {
      const found = new Map<string, Grade>();
      for (const id of [...taxonomy.near(target, BROADER_STEPS), ...taxonomy.siblings(target)]) found.set(id, 1);
      for (const id of taxonomy.narrowerSold(target)) found.set(id, 2);
      found.set(target, 3);
      grades = found;
      cache.set(target, grades);
    }
    return grades;
  };
  const merged = (targets: readonly string[]): ReadonlyMap<string, Grade> => {
    const [only] = targets;
    if (targets.length === 1 && only !== undefined) return gradesFor(only);
    const best = new Map<string, Grade>();
    for (const target of targets) {
      for (const [id, grade] of gradesFor(target)) if (grade > (best.get(id) ?? 0)) best.set(id, grade);
    }
    return best;
  };
  const settle = (grade: Grade, intent: Intent, item: CatalogueAd): Grade =>
    grade === 3 && contradicts(intent, item) ? 2 : grade;

  return {
    grade(intent, adId) {
      const item = byId.get(adId);
      return item ? settle(merged(intent.targets).get(item.conceptId) ?? 0, intent, item) : 0;
    },
    judge(intent, market) {
      const places: Record<Grade, number[]> = { 0: [], 1: [], 2: [], 3: [] };
      for (const [concept, grade] of merged(intent.targets)) {
        for (const place of liveAds(concept, market)) places[settle(grade, intent, catalogue[place]!)].push(place);
      }
      return ([3, 2, 1] as const).flatMap((grade) =>
        places[grade].sort((a, b) => a - b).map((place) => ({ item: catalogue[place]!, grade })),
      );
    },
    countRelevant(targets, market) {
      let count = 0;
      for (const [concept, grade] of merged(targets)) if (grade >= RELEVANT) count += liveAds(concept, market).length;
      return count;
    },
  };
}

function contradicts({ attributes, brand }: Intent, item: CatalogueAd): boolean {
  if (brand !== undefined && brand !== item.brand) return true;
  return attributes.some(
    (wanted) =>
      EXCLUSIVE_KINDS.has(wanted.kind) &&
      item.attributes.some((offered) => offered.kind === wanted.kind && offered.key !== wanted.key),
  );
}
