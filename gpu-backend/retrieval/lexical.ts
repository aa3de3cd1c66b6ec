/**
 * The lexical retriever: BM25+ (Lv and Zhai, 2011; MiniSearch) over title, keywords and description. Any query term may
 * match (OR); no prefixes and no fuzziness, so that what it finds is what the words say. Terms and coverage, which is the
 * relevance of an ad where there is no dense score, are those of shared/coverage.ts.
 */
import MiniSearch, { type Options } from 'minisearch';
import type { Ad } from '../../shared/contract/ads.ts';
import {
  coverage,
  FIELD_CERTAINTY,
  forTerms,
  indexTerm,
  type LexicalField,
  TERMS_VERSION,
  terms,
  termWeight,
  tokens,
} from '../../shared/coverage.ts';

/** Raised, by either part, whenever terms or fields change: an index serialized under another version is built anew. */
export const LEXICAL_VERSION = 100 * TERMS_VERSION + 2;

const BOOST: Record<LexicalField, number> = { title: 2, keywords: 1.5, description: 1 };

/**
 * A term that more than this share of the ads has ("delivery", "order") adds to the score of what the rarer terms found
 * and brings in nothing by itself, unless it is the rarest of the query: its postings are most of the work and none of
 * the answer.
 */
const COMMON_SHARE = 0.05;
/** A term that fewer ads have is not common in any catalogue: it costs next to nothing. */
const LEAST_COMMON = 256;

interface Document extends Record<LexicalField, string> {
  slot: number;
}

const OPTIONS: Options<Document> = {
  idField: 'slot',
  fields: Object.keys(BOOST),
  tokenize: tokens,
  processTerm: indexTerm,
  searchOptions: {
    boost: BOOST,
    combineWith: 'OR',
    // Query terms come in already processed.
    tokenize: (text) => text.split(' '),
    processTerm: (term) => term,
  },
};

function documentOf(slot: number, ad: Ad): Document {
  return {
    slot,
    title: forTerms(ad.title),
    keywords: forTerms(ad.keywords.map(({ text }) => text).join(' \n ')),
    description: forTerms(ad.description),
  };
}

/** Fields in which an ad has a term, by term. */
type Match = Record<string, string[]>;

const fieldsOf = (match: Match, term: string): LexicalField[] =>
  Object.hasOwn(match, term) ? (match[term] as LexicalField[]) : [];

export interface LexicalHit {
  slot: number;
  /** BM25+, summed over fields by boost. */
  score: number;
  /** Coverage, 0 to 1. */
  relevance: number;
}

export interface LexicalSearch {
  limit: number;
  accept: (slot: number) => boolean;
  tieKey: (slot: number) => string;
  /** Slots whose coverage is wanted, however low they rank. */
  also?: ReadonlySet<number>;
}

export interface LexicalFound {
  hits: LexicalHit[];
  /** By slot, 0 to 1. */
  coverage: ReadonlyMap<number, number>;
}

/** An index of ads by slot: a small number that the owner gives each ad and does not reuse while it is in. */
export class LexicalIndex {
  readonly #index: MiniSearch<Document>;
  /** By slot, which search (or count) saw it last. */
  #stamps = new Uint32Array(1024);
  #stamp = 0;
  /** Ads that have a term, for terms that many have. */
  readonly #commonTerms = new Map<string, number>();
  #changes = 0;

  constructor(index = new MiniSearch<Document>(OPTIONS), slots = 0) {
    this.#index = index;
    this.#reserve(slots);
  }

  /** From {@link serialize}, with `slots` the number of slots in use; yields to the event loop on the way. */
  static async load(json: string, slots: number): Promise<LexicalIndex> {
    return new LexicalIndex(await MiniSearch.loadJSONAsync<Document>(json, OPTIONS), slots);
  }

  serialize(): string {
    return JSON.stringify(this.#index);
  }

  get size(): number {
    return this.#index.documentCount;
  }

  /** Adds the ad, or replaces what the slot held. */
  put(slot: number, ad: Ad): void {
    this.#reserve(slot + 1);
    this.#changed();
    if (this.#index.has(slot)) this.#index.replace(documentOf(slot, ad));
    else this.#index.add(documentOf(slot, ad));
  }

  /** Does nothing when the slot is empty. */
  remove(slot: number): void {
    if (!this.#index.has(slot)) return;
    this.#changed();
    this.#index.discard(slot);
  }

  /**
   * The `limit` best accepted ads, best first, ties by `tieKey`; none for a query of stop words only. `coverage` holds
   * theirs and that of the slots in `also` that match at all.
   */
  search(query: string, { limit, accept, tieKey, also }: LexicalSearch): LexicalFound {
    const having = terms(query).map((term) => ({ term, ads: this.#adsWith(term) }));
    const all = Math.max(1, this.#index.documentCount);
    const present = having.filter(({ ads }) => ads > 0).sort((a, b) => a.ads - b.ads);
    const common = Math.max(LEAST_COMMON, COMMON_SHARE * all);
    const selective = present.filter(({ ads }, i) => i === 0 || ads <= common);
    if (selective.length === 0) return { hits: [], coverage: new Map() };
    const weights = new Map(having.map(({ term, ads }) => [term, termWeight(all, ads)]));

    const found: { slot: number; score: number; match: Match }[] = [];
    const selecting = new Set(selective.map(({ term }) => term));
    const stamp = this.#nextStamp();
    const order = [...selecting, ...having.map(({ term }) => term).filter((term) => !selecting.has(term))];
    this.#index.search(order.join(' '), {
      boostDocument: (slot: number, term: string) => {
        if (!selecting.has(term)) return this.#stamps[slot] === stamp ? 1 : 0;
        if (!accept(slot)) return 0;
        this.#stamps[slot] = stamp;
        return 1;
      },
      // Visits every match; nothing is kept by MiniSearch, which would sort them all.
      filter: ({ id, score, match, terms: matched }) => {
        // MiniSearch multiplies by the number of matched terms; BM25 does not.
        found.push({ slot: id as number, score: score / matched.length, match });
        return false;
      },
    });
    const coverageOf = (match: Match): number =>
      coverage(weights, (term) => Math.max(0, ...fieldsOf(match, term).map((field) => FIELD_CERTAINTY[field])));
    const matches = new Map(
      found.filter(({ slot }) => also?.has(slot)).map(({ slot, match }) => [slot, coverageOf(match)]),
    );
    const hits = best(found, limit, tieKey).map(({ slot, score, match }) => {
      const relevance = matches.get(slot) ?? coverageOf(match);
      matches.set(slot, relevance);
      return { slot, score, relevance };
    });
    return { hits, coverage: matches };
  }

  /** How many ads have a term: a search that scores nothing. Counts of common terms are kept while they hold well enough. */
  #adsWith(term: string): number {
    const known = this.#commonTerms.get(term);
    if (known !== undefined) return known;
    let ads = 0;
    const stamp = this.#nextStamp();
    this.#index.search(term, {
      // Called once a field that has the term; the stamp counts an ad once.
      boostDocument: (slot: number) => {
        if (this.#stamps[slot] !== stamp) ads++;
        this.#stamps[slot] = stamp;
        return 0;
      },
    });
    if (ads >= LEAST_COMMON) this.#commonTerms.set(term, ads);
    return ads;
  }

  /** Forgets the kept counts once a hundredth of the ads has changed. */
  #changed(): void {
    if (++this.#changes * 100 < this.#index.documentCount) return;
    this.#changes = 0;
    this.#commonTerms.clear();
  }

  #reserve(slots: number): void {
    if (slots <= this.#stamps.length) return;
    const grown = new Uint32Array(Math.max(slots, 2 * this.#stamps.length));
    grown.set(this.#stamps);
    this.#stamps = grown;
  }

  #nextStamp(): number {
    this.#stamp = (this.#stamp + 1) >>> 0;
    if (this.#stamp === 0) {
      this.#stamps.fill(0);
      this.#stamp = 1;
    }
    return this.#stamp;
  }
}

/** The `limit` highest scores; only what ties with the last place is compared by key. */
function best<H extends { slot: number; score: number }>(
  found: H[],
  limit: number,
  tieKey: (slot: number) => string,
): H[] {
  if (found.length > 4 * limit) {
    const scores = Float64Array.from(found, ({ score }) => score).sort();
    const floor = scores[scores.length - limit]!;
    found = found.filter(({ score }) => score >= floor);
  }
  return found.sort((a, b) => b.score - a.score || (tieKey(a.slot) < tieKey(b.slot) ? -1 : 1)).slice(0, limit);
}
