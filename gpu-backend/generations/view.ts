/**
 * What retrieval searches: one generation plus everything that changed since. Each ad has a slot: its row, or for ads that
 * came or changed in text, market or vector since, a slot behind the rows (index/delta.ts). An ad that moved leaves its
 * old slot empty; a paused one keeps its slot and is passed over.
 */
import { adText } from '../../shared/ad-text.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import type { Hit } from '../index/ann-index.ts';
import { DeltaIndex } from '../index/delta.ts';
import { scan } from '../index/exact.ts';
import { sameDirection } from '../index/vector-rows.ts';
import type { KeywordFound } from '../retrieval/keyword.ts';
import type { LexicalFound } from '../retrieval/lexical.ts';
import type { Booking } from './bookings.ts';
import type { VectorSource } from './layout.ts';
import { closeGeneration, type LoadedGeneration } from './load.ts';
import type { NumbersById } from './numbers-by-id.ts';
import type { AdVector } from './vectors.ts';

interface Entry {
  ad: Ad;
  revision: number;
  source: VectorSource | undefined;
}

/** Which ads a query looks at: those of the market that are active, and of these what it may bring up at all. */
export interface Scope {
  market: string;
  /** Whether the query may bring up ads that are booked so (retrieval/admission.ts). */
  admits: (booking: Booking) => boolean;
  /** Whether it may not bring up this one all the same. */
  heldOff?: ((slot: number) => boolean) | undefined;
}

/** In any order, and though one is named twice. */
const sameMarkets = (a: readonly string[], b: readonly string[]) =>
  a.every((market) => b.includes(market)) && b.every((market) => a.includes(market));

export class View {
  readonly number: number;
  readonly spaceId: string;
  /** When the generation's snapshot was taken, UTC milliseconds. */
  readonly createdAtMs: number;
  readonly #generation: LoadedGeneration;
  /** By slot; `undefined` where the ad has gone or moved. */
  readonly #entries: (Entry | undefined)[];
  readonly #slotOf: NumbersById;
  /** Vectors behind the rows, by slot. */
  readonly #added: DeltaIndex;
  /** Ads behind the rows, and ads that only the next generation brings. */
  #outside = 0;
  #left = 0;

  constructor(generation: LoadedGeneration) {
    this.number = generation.manifest.number;
    this.spaceId = generation.manifest.spaceId;
    this.createdAtMs = Date.parse(generation.manifest.createdAt);
    this.#generation = generation;
    this.#added = new DeltaIndex(generation.rows.dimension);
    this.#entries = [...generation.ads];
    this.#slotOf = generation.rowOf;
  }

  get ads(): number {
    return this.#slotOf.size;
  }
  /** Ads that the generation's index lacks: when they are many, it is time for a new generation. */
  get delta(): number {
    return this.#outside + this.#left;
  }
  /** Slots in all, which only grow, and those that are searched although their ads have gone or moved. */
  get slots(): number {
    return this.#entries.length;
  }
  get vacant(): number {
    return this.#entries.length - this.#slotOf.size;
  }
  /** Whether somebody brought the generation back: an older one's content under a new number. */
  get broughtBack(): boolean {
    return this.#generation.manifest.copyOf !== null && !this.standsIn;
  }
  /** Whether a start brought it back, because the one that should be live could not be loaded. */
  get standsIn(): boolean {
    return this.#generation.manifest.insteadOf !== undefined;
  }
  /** Slots that the index covers; those behind are in the graph of what came since. */
  get indexed(): number {
    return this.#generation.ads.length;
  }
  has(id: string): boolean {
    return this.#slotOf.has(id);
  }
  ids(): Iterable<string> {
    return this.#slotOf.keys();
  }
  revisionOf(id: string): number | undefined {
    return this.#entryOf(id)?.revision;
  }
  textOf(id: string): string | undefined {
    const entry = this.#entryOf(id);
    return entry === undefined ? undefined : adText(entry.ad);
  }

  /** The ad of that id, whatever its status. */
  find(id: string): Ad | undefined {
    return this.#entryOf(id)?.ad;
  }

  /** The ad in a slot that a search answered. */
  ad(slot: number): Ad {
    return this.#entries[slot]!.ad;
  }

  /** Which slots' own negative keywords hold the query off; `undefined` when none do. */
  heldOff(query: string): ((slot: number) => boolean) | undefined {
    return this.#generation.negatives.against(query);
  }

  /** Best first by match (retrieval/keyword.ts), ties by ad id; ads of the scope only. */
  keyword(
    query: string,
    { limit, also, ...scope }: Scope & { limit: number; also: ReadonlySet<number> },
  ): KeywordFound {
    return this.#generation.keywords.search(query, {
      limit,
      also,
      accept: this.#servable(scope),
      adOf: (slot) => this.ad(slot),
    });
  }

  /** Best first by BM25+, ties by ad id; ads of the scope only. */
  lexical(
    query: string,
    { limit, also = new Set(), ...scope }: Scope & { limit: number; also?: ReadonlySet<number> },
  ): LexicalFound {
    return this.#generation.lexical.search(query, {
      limit,
      also,
      accept: this.#servable(scope),
      tieKey: (slot) => this.#entries[slot]!.ad.id,
    });
  }

  /** What the market's index finds, for {@link dense}; a promise where the index is another machine's. */
  propose(query: Float32Array, { limit, ...scope }: Scope & { limit: number }): Hit[] | Promise<Hit[]> {
    const index = this.#generation.indices.get(scope.market);
    return index?.search(query, limit, this.#servable(scope)) ?? [];
  }

  /**
   * Of what the index proposed and the ads that came since, the best by cosine, ties by ad id; ads of the scope only, as
   * they are now. `row` of a hit is a slot.
   */
  dense(query: Float32Array, proposed: readonly Hit[], { limit, ...scope }: Scope & { limit: number }): Hit[] {
    const servable = this.#servable(scope);
    const hits = proposed.filter(({ row }) => servable(row));
    hits.push(...this.#added.search(query, limit, servable));
    return hits.sort((a, b) => b.score - a.score || (this.ad(a.row).id < this.ad(b.row).id ? -1 : 1)).slice(0, limit);
  }

  /** What {@link propose} should find among the slots from `from` up to `to`: the best by exact cosine, ties by slot. */
  exact(
    query: Float32Array,
    { from, to, limit, ...scope }: Scope & { from: number; to: number; limit: number },
  ): Hit[] {
    const members = Array.from({ length: Math.min(to, this.indexed) - from }, (_, i) => from + i);
    return scan(this.#generation.rows, query, { k: limit, members, accept: this.#servable(scope) });
  }

  /** Cosine of each slot's vector and the query; none of an ad without a vector. */
  cosines(slots: readonly number[], query: Float32Array): Map<number, number> {
    const { rows, ads } = this.#generation;
    const filed = slots.filter((slot) => slot < ads.length);
    const scores = new Float64Array(filed.length);
    rows.scorer(query)(filed, filed.length, scores);
    const found = new Map(filed.map((slot, i) => [slot, scores[i]!]));
    for (const slot of slots) {
      const cosine = slot < ads.length ? undefined : this.#added.cosine(slot, query);
      if (cosine !== undefined) found.set(slot, cosine);
    }
    return found;
  }

  /** Puts an ad, new or changed; the caller has compared revisions. Without a vector an unchanged text keeps its own. */
  put(ad: Ad, revision: number, vector?: AdVector): void {
    const slot = this.#slotOf.get(ad.id);
    const old = slot === undefined ? undefined : this.#entries[slot]!;
    const sameText = old !== undefined && adText(old.ad) === adText(ad);
    const better = vector !== undefined && (vector.source !== old?.source || this.#isAnother(vector, slot!));
    if (slot !== undefined && sameText && !better && sameMarkets(old!.ad.markets, ad.markets)) {
      this.#entries[slot] = { ...old!, ad, revision };
      this.#generation.keywords.remove(slot, old!.ad.keywords);
      this.#book(slot, ad);
      return;
    }
    const kept = sameText && slot !== undefined ? this.#vectorOf(slot) : undefined;
    const added = vector === undefined ? kept : vector.components;
    const source = vector?.source ?? (added === undefined ? undefined : old?.source);
    if (slot !== undefined) this.#empty(slot);
    const target = this.#entries.length;
    this.#outside++;
    this.#entries[target] = { ad, revision, source };
    this.#slotOf.set(ad.id, target);
    if (added !== undefined) this.#added.put(target, added);
    this.#generation.lexical.put(target, ad);
    this.#book(target, ad);
  }

  /** So many more ads are searched in the next generation and not in this one. */
  leave(ads: number): void {
    this.#left += ads;
  }

  /** Takes an ad out; nothing happens when it is not in. */
  remove(id: string): void {
    const slot = this.#slotOf.get(id);
    if (slot === undefined) return;
    this.#empty(slot);
    this.#slotOf.delete(id);
  }

  /** Once another view is searched in its place: closes its generation. */
  close(): Promise<void> {
    return closeGeneration(this.#generation);
  }

  #entryOf(id: string): Entry | undefined {
    const slot = this.#slotOf.get(id);
    return slot === undefined ? undefined : this.#entries[slot];
  }

  #servable({ market, admits, heldOff }: Scope): (slot: number) => boolean {
    const booked = this.#generation.bookings.where(
      (booking) => booking.status === 'active' && booking.markets.includes(market) && admits(booking),
    );
    return heldOff === undefined ? booked : (slot) => booked(slot) && !heldOff(slot);
  }

  #book(slot: number, ad: Ad): void {
    this.#generation.bookings.put(slot, ad);
    this.#generation.keywords.put(slot, ad.keywords);
    this.#generation.negatives.put(slot, ad.negatives);
  }

  #vectorOf(slot: number): ArrayLike<number> | undefined {
    const { rows, ads } = this.#generation;
    return slot < ads.length ? rows.unit(slot) : this.#added.unit(slot);
  }

  /** Whether its owner uploaded a different vector: an unchanged one comes along with every change of the ad. */
  #isAnother({ source, components }: AdVector, slot: number): boolean {
    if (source !== 'uploaded') return false;
    const own = this.#vectorOf(slot);
    return own === undefined || !sameDirection(components, own);
  }

  #empty(slot: number): void {
    const entry = this.#entries[slot];
    if (entry !== undefined) this.#generation.lexical.remove(slot, entry.ad);
    if (entry !== undefined) this.#generation.keywords.remove(slot, entry.ad.keywords);
    this.#generation.negatives.put(slot, undefined);
    this.#entries[slot] = undefined;
    this.#generation.bookings.remove(slot);
    this.#added.remove(slot);
    if (slot >= this.#generation.ads.length) this.#outside--;
  }
}
