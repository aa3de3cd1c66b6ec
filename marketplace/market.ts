/** The market in memory: everything that a seed determines, made in one go from WordNet. */
import type { Ad } from '../shared/contract/ads.ts';
import { createAdvertisers } from './advertisers.ts';
import { readAttributes } from './attributes.ts';
import { type CatalogueAd, createCatalogue } from './catalogue.ts';
import { type Concepts, selectConcepts } from './concepts.ts';
import { phraseQueries, type Query } from './queries.ts';
import { type QueryLog, splitQueries } from './query-log.ts';
import { createRandom, type Random } from './random.ts';
import { createRelevance, type Grade, type Judgement, type Relevance } from './relevance.ts';
import { type HeldOut, holdOut } from './splits.ts';
import { buildTaxonomy, type Taxonomy } from './taxonomy.ts';
import { splitVocabulary } from './vocabulary.ts';
import { readWordNet, type WordNet } from './wordnet.ts';

/** Seed of the market that ships: its ads are the ones that a fresh installation serves. */
export const MARKET_SEED = 1;

/** A market; two with the same seed are equal in every byte. */
export interface Market {
  readonly seed: number;
  readonly wordNet: WordNet;
  readonly concepts: Concepts;
  readonly taxonomy: Taxonomy;
  readonly heldOut: HeldOut;
  /** The ads as advertisers book them. */
  readonly ads: readonly Ad[];
  /** The ads with what they are about, in the same order. */
  readonly catalogue: readonly CatalogueAd[];
  readonly queries: QueryLog;
  readonly relevance: Relevance;
  /** Relevance of an ad to a query of the log; 2 and 3 count as relevant. */
  grade(query: Query, adId: string): Grade;
  /** All active ads with a grade of at least 1 in the query's market, best first. */
  judge(query: Query): Judgement[];
  /** An independent stream of randomness under the market's seed. */
  random(label: string): Random;
}

/** Makes the market of a seed (some seconds). */
export function createMarket(options: { seed: number }): Market {
  const { seed } = options;
  const random = (label: string) => createRandom(seed, label);
  const wordNet = readWordNet();
  const concepts = selectConcepts(wordNet);
  const taxonomy = buildTaxonomy(wordNet, concepts);
  const attributes = readAttributes(wordNet);
  const vocabulary = splitVocabulary(concepts, taxonomy, random('vocabulary'));

  const soldByDepartment = new Map<string, number>();
  for (const { sold, department } of concepts.values()) {
    if (sold) soldByDepartment.set(department, (soldByDepartment.get(department) ?? 0) + 1);
  }
  const advertisers = createAdvertisers({ wordNet, soldByDepartment }, random('advertisers'));
  const catalogue = createCatalogue({ concepts, attributes, advertisers, vocabulary }, random('catalogue'));
  const relevance = createRelevance(taxonomy, catalogue);

  const brands = new Map<string, string[]>();
  for (const { brand, campaigns } of advertisers) {
    for (const { department } of campaigns) brands.set(department, [...(brands.get(department) ?? []), brand]);
  }
  const phrasings = phraseQueries({ concepts, attributes, vocabulary, brands }, random('queries'));
  const heldOut = holdOut(concepts, taxonomy, random('held-out'));
  const queries = splitQueries({ phrasings, heldOut, relevance, seed }, random('log'));

  return {
    seed,
    wordNet,
    concepts,
    taxonomy,
    heldOut,
    ads: catalogue.map(({ ad }) => ad),
    catalogue,
    queries,
    relevance,
    grade: (query, adId) => relevance.grade(query.intent, adId),
    judge: (query) => relevance.judge(query.intent, query.market),
    random,
  };
}
