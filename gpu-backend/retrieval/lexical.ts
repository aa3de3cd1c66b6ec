/**
 * The lexical retriever: BM25+ (bm25.ts) over title, keywords and description. Any query term may match (OR). There are
 * no prefixes and there is no fuzziness, so that what it finds is what the words say. Terms and coverage, which is the
 * relevance of an ad where there is no dense score, are those of shared/coverage.ts. A generation's lists are read in
 * place (lexical-segment.ts); what came since is kept beside them, and the statistics are those of both together.
 */
import type { Ad } from '../../shared/contract/ads.ts';
import { coverage, terms, termWeight } from '../../shared/coverage.ts';
import { BestSlots } from './best-slots.ts';
import { Bm25 } from './bm25.ts';
import { emptySegment, type LexicalSegment, PEAKS } from './lexical-segment.ts';
import { certaintyOf, countIn, FIELDS, type IndexedAd, indexedAd } from './lexical-terms.ts';
import { firstFrom, MaxScore, type MaxScoreOptions, type TermList } from './max-score.ts';

/**
 * A term that more than this share of the ads has ("delivery", "order") adds to the score of what the rarer terms found
 * and brings in nothing by itself, unless it is the rarest of the query: its postings are most of the work and none of
 * the answer.
 */
const COMMON_SHARE = 0.05;
/** A term that fewer ads have is not common in any catalogue: it costs next to nothing. */
const LEAST_COMMON = 256;

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
  /** The query's terms that some ad has, of whatever market. */
  terms: readonly string[];
}

/** A query's term over all ads of this moment. */
interface Term extends TermList {
  term: string;
  /** Ads that have it. */
  ads: number;
  /** Its postings of ads that came since: shapes by slot. */
  added: ReadonlyMap<number, number> | undefined;
}

/** Ads, then ads by field. */
const COUNTS = 1 + FIELDS.length;

/** An index of ads by slot: rows of the segment first, then what the owner gives each further ad and does not reuse while it is in. */
export class LexicalIndex {
  readonly #segment: LexicalSegment;
  /** Rows of the segment whose ads are gone. */
  readonly #gone: Uint8Array;
  readonly #added = new Map<number, IndexedAd>();
  /** Shapes of the added ads' postings, by term and slot. */
  readonly #postings = new Map<string, Map<number, number>>();
  /** By how much each term's counts of ads differ from the segment's. */
  readonly #drift = new Map<string, Int32Array>();
  readonly #bm25: Bm25;
  readonly #filed: MaxScore;
  /** Scores of the added ads that this search found, by slot after the segment; 0 for the others. */
  #sums = new Float64Array(0);

  constructor(segment: LexicalSegment = emptySegment()) {
    const { rows, shapes, lengthSums } = segment;
    this.#segment = segment;
    this.#gone = new Uint8Array(rows);
    this.#bm25 = new Bm25({ shapes, ads: rows, lengthSums });
    this.#filed = new MaxScore(segment);
  }

  get size(): number {
    return this.#bm25.ads;
  }

  /** Adds the ad, or replaces what a slot behind the segment held. */
  put(slot: number, ad: Ad): void {
    const { rows, shapes } = this.#segment;
    if (slot < rows) throw new RangeError(`slot ${slot}: rows of the segment never change`);
    this.#takeOut(slot);
    if (slot - rows >= this.#sums.length) this.#sums = new Float64Array(2 * (slot - rows + 1));
    const entry = indexedAd(ad);
    this.#added.set(slot, entry);
    for (const [term, packed] of entry.counts) {
      const postings = this.#postings.get(term);
      const shape = shapes.of(packed, entry.lengths);
      if (postings === undefined) this.#postings.set(term, new Map([[slot, shape]]));
      else postings.set(slot, shape);
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
    const having = terms(query).map((term) => this.#termOf(term));
    const present = having.filter(({ ads }) => ads > 0).sort((a, b) => a.ads - b.ads);
    const most = Math.max(LEAST_COMMON, COMMON_SHARE * this.size);
    const selective = present.filter(({ ads }, i) => i === 0 || ads <= most);
    if (selective.length === 0) return { hits: [], coverage: new Map(), terms: [] };

    const best = new BestSlots({ limit, before: this.#byId(tieKey) });
    const finding = { finding: selective.length, best };
    this.#searchAdded(present, { ...finding, accept });
    this.#filed.search(present, { ...finding, accept: (slot) => this.#gone[slot] === 0 && accept(slot) });

    const weights = new Map(having.map(({ term, ads }) => [term, termWeight(Math.max(1, this.size), ads)]));
    const byTerm = new Map(present.map((term) => [term.term, term]));
    const { counts } = this.#segment.shapes;
    const coverageOf = (slot: number) =>
      coverage(weights, (word) => {
        const term = byTerm.get(word);
        const shape = term === undefined ? -1 : this.#shapeIn(term, slot);
        return shape < 0 ? 0 : certaintyOf(counts[shape]!);
      });
    const matches = new Map<number, number>();
    for (const slot of also)
      if (selective.some((term) => this.#shapeIn(term, slot) >= 0)) matches.set(slot, coverageOf(slot));
    const hits = best.drain().map(({ slot, score }) => {
      const relevance = matches.get(slot) ?? coverageOf(slot);
      matches.set(slot, relevance);
      return { slot, score, relevance };
    });
    return { hits, coverage: matches, terms: [...byTerm.keys()] };
  }

  #termOf(term: string): Term {
    const { starts, fieldAds, peaks } = this.#segment;
    const place = this.#segment.find(term);
    const drift = this.#drift.get(term);
    const [from, to] = place < 0 ? [0, 0] : [starts[place]!, starts[place + 1]!];
    const scores = this.#bm25.scores(
      (f) => (place < 0 ? 0 : fieldAds[place * FIELDS.length + f]!) + (drift?.[1 + f] ?? 0),
    );
    const most = place < 0 ? 0 : scores.most(peaks, place * PEAKS);
    return { term, ads: to - from + (drift?.[0] ?? 0), from, to, scores, most, added: this.#postings.get(term) };
  }

  /** What {@link MaxScore} does, of the ads that came since. */
  #searchAdded(lists: readonly Term[], { finding, best, accept }: MaxScoreOptions): void {
    const [sums, { rows }] = [this.#sums, this.#segment];
    const found: number[] = [];
    for (const [t, { added, scores }] of lists.entries()) {
      for (const [slot, shape] of added ?? []) {
        const before = sums[slot - rows]!;
        if (before === 0 && t >= finding) continue;
        if (before === 0) found.push(slot);
        sums[slot - rows] = before + scores.of(shape);
      }
    }
    for (const slot of found) {
      const score = sums[slot - rows]!;
      sums[slot - rows] = 0;
      if (score >= best.floor && best.wants(slot, score) && accept(slot)) best.add(slot, score);
    }
  }

  /** Order of ids; among the rows of the segment without reading them. */
  #byId(tieKey: (slot: number) => string): (a: number, b: number) => boolean {
    const { rows, idPlaces } = this.#segment;
    return (a, b) => (a < rows && b < rows ? idPlaces[a]! < idPlaces[b]! : tieKey(a) < tieKey(b));
  }

  /** The shape of a term's posting in one ad, -1 where it has none. */
  #shapeIn({ from, to, added }: Term, slot: number): number {
    const { rows, docs, shapeOf } = this.#segment;
    if (slot >= rows) return added?.get(slot) ?? -1;
    const at = firstFrom(docs, slot, [from, to]);
    return at < to && docs[at] === slot ? shapeOf[at]! : -1;
  }

  #count({ counts, lengths }: IndexedAd, sign: 1 | -1): void {
    this.#bm25.count(lengths, sign);
    for (const [term, packed] of counts) {
      const drift = this.#drift.get(term) ?? new Int32Array(COUNTS);
      this.#drift.set(term, drift);
      drift[0]! += sign;
      for (const [f, field] of FIELDS.entries()) if (countIn(packed, field) > 0) drift[1 + f]! += sign;
      if (drift.every((change) => change === 0)) this.#drift.delete(term);
    }
  }
}
