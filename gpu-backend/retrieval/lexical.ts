/**
 * The lexical retriever: BM25+ (Lv and Zhai, 2011; MiniSearch) over title, keywords and description. Any query term may
 * match (OR); no prefixes and no fuzziness, so that what it finds is what the words say. Terms are folded by the
 * S-stemmer (Harman, 1991: plurals only, and the e of dresses) and freed of accents; stop words do not count.
 *
 * Relevance without a dense score is coverage: the share of the query's information (inverse document frequency summed
 * over its distinct terms) that the ad matches, a term found only in the description counting less. A term that no ad has
 * weighs most, so an ad that matches only the common half of a query is not sure of itself.
 */
import MiniSearch, { type Options } from 'minisearch';
import type { Ad } from '../../shared/contract/ads.ts';
import { normalize } from '../../shared/text.ts';

/** Raised whenever {@link terms} or the fields change: an index serialized under another version is built anew. */
export const LEXICAL_VERSION = 2;

const FIELDS = {
  title: { boost: 2, certainty: 1 },
  keywords: { boost: 1.5, certainty: 1 },
  description: { boost: 1, certainty: 0.6 },
};
type Field = keyof typeof FIELDS;

/**
 * A term that more than this share of the ads has ("delivery", "order") adds to the score of what the rarer terms found
 * and brings in nothing by itself, unless it is the rarest of the query: its postings are most of the work and none of
 * the answer.
 */
const COMMON_SHARE = 0.05;
/** A term that fewer ads have is not common in any catalogue: it costs next to nothing. */
const LEAST_COMMON = 256;

const STOP_WORDS = new Set(
  (
    'a an and any are as at be been but by can could did do does for from had has have how i if in into is it its me my ' +
    'no not of off on or our out should so some such than that the their them then there these they this those to up ' +
    'was we were what when where which who why will with would you your'
  ).split(' '),
);

/**
 * Plurals to singulars (Harman, 1991): ies to y, es to e, s to nothing, with his exceptions; then the e that only the
 * plural has (dresses, watches, boxes) goes, and with it that of the few singulars that end so, alike on both sides.
 */
function singular(term: string): string {
  return strip(term).replace(/(ss|sh|ch|x|zz)e$/, '$1');
}

function strip(term: string): string {
  if (term.length < 4 || !term.endsWith('s')) return term;
  if (term.endsWith('ies')) return /[ea]ies$/.test(term) ? term : `${term.slice(0, -3)}y`;
  if (term.endsWith('es')) return /[aeo]es$/.test(term) ? term : term.slice(0, -1);
  return /[us]s$/.test(term) ? term : term.slice(0, -1);
}

/** The index term of a token, or `null` for a stop word. */
function processTerm(token: string): string | null {
  let term = token.toLowerCase();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range is meant
  if (!/^[\x00-\x7f]*$/.test(term)) term = term.normalize('NFD').replace(/\p{M}+/gu, '');
  return !/[\p{L}\p{N}]/u.test(term) || STOP_WORDS.has(term) ? null : singular(term);
}

const tokenize = MiniSearch.getDefault('tokenize') as (text: string) => string[];

/** Distinct index terms of a normalized query, stop words left out. */
export function terms(query: string): string[] {
  return [
    ...new Set(
      tokenize(query)
        .map(processTerm)
        .filter((term) => term !== null),
    ),
  ];
}

interface Document extends Record<Field, string> {
  slot: number;
}

const OPTIONS: Options<Document> = {
  idField: 'slot',
  fields: Object.keys(FIELDS),
  processTerm,
  searchOptions: {
    boost: Object.fromEntries(Object.entries(FIELDS).map(([name, { boost }]) => [name, boost])),
    combineWith: 'OR',
    // Query terms come in already processed.
    tokenize: (text) => text.split(' '),
    processTerm: (term) => term,
  },
};

/** Terms are lower-cased anyway, so plain ASCII needs no normalisation. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range is meant
const normalized = (text: string) => (/^[\x00-\x7f]*$/.test(text) ? text : normalize(text));

function documentOf(slot: number, ad: Ad): Document {
  return {
    slot,
    title: normalized(ad.title),
    keywords: normalized(ad.keywords.map(({ text }) => text).join(' \n ')),
    description: normalized(ad.description),
  };
}

export interface LexicalHit {
  slot: number;
  /** BM25+, summed over fields by boost. */
  score: number;
  /** Coverage, 0 to 1. */
  relevance: number;
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

  /** The `limit` best accepted ads, best first, ties by `tieKey`; none for a query of stop words only. */
  search(
    query: string,
    { limit, accept, tieKey }: { limit: number; accept: (slot: number) => boolean; tieKey: (slot: number) => string },
  ): LexicalHit[] {
    const having = terms(query).map((term) => ({ term, ads: this.#adsWith(term) }));
    const all = Math.max(1, this.#index.documentCount);
    const present = having.filter(({ ads }) => ads > 0).sort((a, b) => a.ads - b.ads);
    const common = Math.max(LEAST_COMMON, COMMON_SHARE * all);
    const selective = present.filter(({ ads }, i) => i === 0 || ads <= common);
    if (selective.length === 0) return [];
    const weight = new Map(having.map(({ term, ads }) => [term, Math.log(1 + (all - ads + 0.5) / (ads + 0.5))]));
    const total = having.reduce((sum, { term }) => sum + weight.get(term)!, 0);

    const found: { slot: number; score: number; match: Record<string, string[]> }[] = [];
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
    return best(found, limit, tieKey).map(({ slot, score, match }) => {
      const covered = Object.entries(match).reduce(
        (sum, [term, fields]) =>
          sum + weight.get(term)! * Math.max(...fields.map((field) => FIELDS[field as Field].certainty)),
        0,
      );
      return { slot, score, relevance: Math.min(1, covered / total) };
    });
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
