/**
 * The lexical retriever: BM25+ (bm25.ts) over title, keywords and description. Any query term may match (OR); no prefixes and no fuzziness, so that what it finds is what the words say. Terms and coverage,
 * which is the relevance of an ad where there is no dense score, are those of shared/coverage.ts. A generation's lists are read
 * in place (lexical-segment.ts); what came since is kept beside them, and the statistics are those of both together.
 */
import type { Ad } from '../../shared/contract/ads.ts';
import { coverage, terms, termWeight } from '../../shared/coverage.ts';
import { BestSlots } from './best-slots.ts';
import { Bm25, bm25Score } from './bm25.ts';
import { emptySegment, type LexicalSegment } from './lexical-segment.ts';
import { certaintyOf, countIn, FIELDS, type IndexedAd, indexedAd } from './lexical-terms.ts';

/**
 * A term that more than this share of the ads has ("delivery", "order") adds to the score of what the rarer terms found
 * and brings in nothing by itself, unless it is the rarest of the query: its postings are most of the work and none of
 * the answer.
 */
const COMMON_SHARE = 0.05;
/** A term that fewer ads have is not common in any catalogue: it costs next to nothing. */
const LEAST_COMMON = 256;
/** Looking an ad up in a list costs about as much as so many entries along the list. */
const LOOK_UP = 16;

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

/** A query's term over all ads of this moment. */
interface TermStatistics {
  term: string;
  /** Ads that have it. */
  ads: number;
  /** Where its postings lie in the segment, and those of ads that came since. */
  from: number;
  to: number;
  added: ReadonlyMap<number, number> | undefined;
  /** What a match in each field is worth before saturation. */
  worth: readonly number[];
}

/** Ads, then ads by field. */
const COUNTS = 1 + FIELDS.length;

/** An index of ads by slot: rows of the segment first, then what the owner gives each further ad and does not reuse while it is in. */
export class LexicalIndex {
  readonly #segment: LexicalSegment;
  /** Rows of the segment whose ads are gone. */
  readonly #gone: Uint8Array;
  readonly #added = new Map<number, IndexedAd>();
  /** Packed counts of the added ads, by term and slot. */
  readonly #postings = new Map<string, Map<number, number>>();
  /** By how much each term's counts of ads differ from the segment's. */
  readonly #drift = new Map<string, Int32Array>();
  readonly #bm25 = new Bm25();

  /**
   * The slots that this search found and their scores, in the order of finding, and for each slot where it may be among them: a
   * sparse set (Briggs and Torczon, 1993), which needs no clearing.
   */
  #slots = new Uint32Array(0);
  #scores = new Float64Array(0);
  #places = new Uint32Array(0);
  #found = 0;

  constructor(segment: LexicalSegment = emptySegment()) {
    this.#segment = segment;
    this.#gone = new Uint8Array(segment.rows);
    this.#reserve(segment.rows);
    const { lengths } = segment;
    for (let base = 0; base < lengths.length; base += FIELDS.length) this.#bm25.count({ lengths, base }, 1);
  }

  get size(): number {
    return this.#bm25.ads;
  }

  /** Adds the ad, or replaces what a slot behind the segment held. */
  put(slot: number, ad: Ad): void {
    if (slot < this.#segment.rows) throw new RangeError(`slot ${slot}: rows of the segment never change`);
    this.#takeOut(slot);
    this.#reserve(slot + 1);
    const entry = indexedAd(ad);
    this.#added.set(slot, entry);
    for (const [term, packed] of entry.counts) {
      const postings = this.#postings.get(term);
      if (postings === undefined) this.#postings.set(term, new Map([[slot, packed]]));
      else postings.set(slot, packed);
    }
    this.#count(entry, 1);
  }

  /** Takes out the ad that a slot holds; does nothing when the slot is empty. */
  remove(slot: number, ad: Ad): void {
    if (slot >= this.#segment.rows) this.#takeOut(slot);
    else if (this.#gone[slot] === 0) {
      this.#gone[slot] = 1;
      this.#count(indexedAd(ad), -1);
    }
  }

  #takeOut(slot: number): void {
    const entry = this.#added.get(slot);
    if (entry === undefined) return;
    this.#added.delete(slot);
    for (const term of entry.counts.keys()) {
      const postings = this.#postings.get(term)!;
      postings.delete(slot);
      if (postings.size === 0) this.#postings.delete(term);
    }
    this.#count(entry, -1);
  }

  /**
   * The `limit` best accepted ads, best first, ties by `tieKey`; none for a query of stop words only. `coverage` holds
   * theirs and that of the slots in `also` that match at all.
   */
  search(query: string, { limit, accept, tieKey, also = new Set() }: LexicalSearch): LexicalFound {
    const having = terms(query).map((term) => this.#statistics(term));
    const present = having.filter(({ ads }) => ads > 0).sort((a, b) => a.ads - b.ads);
    const most = Math.max(LEAST_COMMON, COMMON_SHARE * this.size);
    const selective = present.filter(({ ads }, i) => i === 0 || ads <= most);
    if (selective.length === 0) return { hits: [], coverage: new Map() };
    const common = present.slice(selective.length);

    this.#found = 0;
    for (const term of selective) this.#accumulate(term);
    for (const term of common) this.#add(term);
    const weights = new Map(having.map(({ term, ads }) => [term, termWeight(Math.max(1, this.size), ads)]));
    const byTerm = new Map(having.map((term) => [term.term, term]));
    const coverageOf = (slot: number) =>
      coverage(weights, (term) => certaintyOf(this.#packed(byTerm.get(term)!, slot)));
    const matches = new Map<number, number>();
    for (const slot of also) if (this.#placeOf(slot) >= 0) matches.set(slot, coverageOf(slot));
    const hits = this.#best({ limit, accept, tieKey }).map(({ slot, score }) => {
      const relevance = matches.get(slot) ?? coverageOf(slot);
      matches.set(slot, relevance);
      return { slot, score, relevance };
    });
    return { hits, coverage: matches };
  }

  #statistics(term: string): TermStatistics {
    const { starts, fieldAds } = this.#segment;
    const place = this.#segment.find(term);
    const drift = this.#drift.get(term);
    const [from, to] = place < 0 ? [0, 0] : [starts[place]!, starts[place + 1]!];
    const worth = this.#bm25.worth(
      (f) => (place < 0 ? 0 : fieldAds[place * FIELDS.length + f]!) + (drift?.[1 + f] ?? 0),
    );
    return { term, ads: to - from + (drift?.[0] ?? 0), from, to, added: this.#postings.get(term), worth };
  }

  /** Where a slot is among those found; -1 where it is not. */
  #placeOf(slot: number): number {
    const place = this.#places[slot]!;
    return place < this.#found && this.#slots[place] === slot ? place : -1;
  }

  /** Finds every ad that has the term, and adds its score. */
  #accumulate({ from, to, added, worth }: TermStatistics): void {
    const { docs, counts } = this.#segment;
    const [slots, scores, places] = [this.#slots, this.#scores, this.#places];
    let found = this.#found;
    const visit = (slot: number, packed: number) => {
      const score = this.#scoreOf(slot, packed, worth);
      const place = places[slot]!;
      if (place < found && slots[place] === slot) scores[place]! += score;
      else {
        places[slot] = found;
        slots[found] = slot;
        scores[found++] = score;
      }
    };
    for (let at = from; at < to; at++) visit(docs[at]!, counts[at]!);
    for (const [slot, packed] of added ?? []) visit(slot, packed);
    this.#found = found;
  }

  /** Adds a term's scores to the ads that were found already: along its list, or by looking each up where they are few. */
  #add(term: TermStatistics): void {
    const { from, to, added, worth } = term;
    const { docs, counts } = this.#segment;
    const [scores, slots, found] = [this.#scores, this.#slots, this.#found];
    if (to - from > LOOK_UP * found) {
      for (let i = 0; i < found; i++) scores[i]! += this.#scoreOf(slots[i]!, this.#packed(term, slots[i]!), worth);
      return;
    }
    const visit = (slot: number, packed: number) => {
      const place = this.#placeOf(slot);
      if (place >= 0) scores[place]! += this.#scoreOf(slot, packed, worth);
    };
    for (let at = from; at < to; at++) visit(docs[at]!, counts[at]!);
    for (const [slot, packed] of added ?? []) visit(slot, packed);
  }

  /** The best of what was found. */
  #best({ limit, accept, tieKey }: Omit<LexicalSearch, 'also'>): { slot: number; score: number }[] {
    const [scores, slots, gone, found] = [this.#scores, this.#slots, this.#gone, this.#found];
    const best = new BestSlots({ limit, before: this.#byId(tieKey) });
    let { floor } = best;
    for (let i = 0; i < found; i++) {
      const slot = slots[i]!;
      const score = scores[i]!;
      // Whether it is accepted comes last: asking is what costs.
      if (score < floor || gone[slot] === 1 || !best.wants(slot, score) || !accept(slot)) continue;
      best.add(slot, score);
      floor = best.floor;
    }
    return best.drain();
  }

  /** Score of one ad and term; 0 where the packed counts are. */
  #scoreOf(slot: number, packed: number, worth: readonly number[]): number {
    if (packed === 0) return 0;
    const dampings = this.#bm25.dampings();
    const { rows, lengths } = this.#segment;
    if (slot < rows) return bm25Score(packed, { lengths, base: slot * FIELDS.length, worth, dampings });
    return bm25Score(packed, { lengths: this.#added.get(slot)!.lengths, base: 0, worth, dampings });
  }

  /** Order of ids; among the rows of the segment without reading them. */
  #byId(tieKey: (slot: number) => string): (a: number, b: number) => boolean {
    const { rows, idPlaces } = this.#segment;
    return (a, b) => (a < rows && b < rows ? idPlaces[a]! < idPlaces[b]! : tieKey(a) < tieKey(b));
  }

  /** A term's packed counts in one ad, 0 where it has none. */
  #packed({ from, to, added }: TermStatistics, slot: number): number {
    if (slot >= this.#segment.rows) return added?.get(slot) ?? 0;
    const { docs, counts } = this.#segment;
    let [low, high] = [from, to - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const doc = docs[middle]!;
      if (doc === slot) return counts[middle]!;
      if (doc < slot) low = middle + 1;
      else high = middle - 1;
    }
    return 0;
  }

  #count({ counts, lengths }: IndexedAd, sign: 1 | -1): void {
    this.#bm25.count({ lengths, base: 0 }, sign);
    for (const [term, packed] of counts) {
      const drift = this.#drift.get(term) ?? new Int32Array(COUNTS);
      this.#drift.set(term, drift);
      drift[0]! += sign;
      for (const [f, field] of FIELDS.entries()) if (countIn(packed, field) > 0) drift[1 + f]! += sign;
      if (drift.every((change) => change === 0)) this.#drift.delete(term);
    }
  }

  #reserve(slots: number): void {
    if (slots <= this.#places.length) return;
    const size = Math.max(slots, 2 * this.#places.length);
    [this.#slots, this.#scores, this.#places] = [new Uint32Array(size), new Float64Array(size), new Uint32Array(size)];
  }
}
