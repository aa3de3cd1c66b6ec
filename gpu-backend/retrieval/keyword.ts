/**
 * The keyword retriever: the ads whose bid keywords match the query as they were booked (shared/match-type.ts). A
 * narrower match ranks above a wider one, then the keyword that says more of the query, then the higher bid; among an
 * ad's own keywords, then the one that is booked more narrowly.
 */
import type { Ad } from '../../shared/contract/ads.ts';
import type { Keyword } from '../../shared/contract/keyword.ts';
import { closeForm, MatchType } from '../../shared/match-type.ts';
import { inTurns } from '../in-turns.ts';
import { NegativeIndex } from './negatives.ts';
import { PhraseIndex } from './phrase-index.ts';

export interface KeywordHit {
  slot: number;
  /** 3 for an exact match; the share of the query's words that the keyword has, and for a phrase match 1 more. */
  score: number;
  /** As booked. */
  match: MatchType;
  /** Share of the query's words that the keyword has, 0 to 1. */
  coverage: number;
  /** The keyword's own bid, or that of the ad. */
  bidMicros: number;
}

export interface KeywordSearch {
  limit: number;
  accept: (slot: number) => boolean;
  /** The ad's id and bid. */
  adOf: (slot: number) => { id: string; bidMicros: number };
  /** Slots whose best keyword is wanted, however low it ranks. */
  also?: ReadonlySet<number>;
}

export interface KeywordFound {
  /** Best first. */
  hits: KeywordHit[];
  /** The best matching keyword of the hits and of the slots in `also` that have one. */
  booked: ReadonlyMap<number, KeywordHit>;
}

const TYPES = MatchType.options;
/** How far above its share a match of the type scores. */
const TIER: Record<MatchType, number> = { exact: 2, phrase: 1, broad: 0 };

/** Ads by slot: a small number that the owner gives each ad and does not reuse while it is in. */
export class KeywordIndex {
  readonly #phrases = new PhraseIndex(closeForm);
  /** By phrase: `3 * slot + match type` of those who booked it. */
  readonly #bookings: number[][] = [];
  /** By phrase: own bids, each at the place of its booking, where there are any. */
  readonly #bids = new Map<number, (number | undefined)[]>();

  put(slot: number, keywords: readonly Keyword[]): void {
    for (const { text, match, bidMicros } of keywords) {
      const phrase = this.#phrases.add(text);
      const booking = 3 * slot + TYPES.indexOf(match);
      this.#bookings[phrase] ??= [];
      const list = this.#bookings[phrase];
      const bids = this.#bids.get(phrase);
      if (bids !== undefined) bids[list.length] = bidMicros;
      else if (bidMicros !== undefined) this.#bids.set(phrase, [...list.map(() => undefined), bidMicros]);
      list.push(booking);
    }
  }

  /** Makes the next query as fast as those after it, with others running in between. */
  settle(): Promise<void> {
    return this.#phrases.settle();
  }

  /** `keywords` are those that the slot was put with. */
  remove(slot: number, keywords: readonly Keyword[]): void {
    for (const { text, match } of keywords) {
      const phrase = this.#phrases.numberOf(text);
      const booking = 3 * slot + TYPES.indexOf(match);
      const list = phrase === undefined ? undefined : this.#bookings[phrase];
      const at = list?.indexOf(booking) ?? -1;
      if (list === undefined || at < 0) continue;
      list[at] = list.at(-1)!;
      list.pop();
      const bids = this.#bids.get(phrase!);
      if (bids === undefined) continue;
      bids[at] = bids.at(-1);
      bids.pop();
    }
  }

  /** The `limit` best accepted ads for a normalized query, ties by ad id. */
  search(query: string, { limit, accept, adOf, also = new Set() }: KeywordSearch): KeywordFound {
    const better = (a: KeywordHit, b: KeywordHit): boolean => {
      if (a.score !== b.score) return a.score > b.score;
      if (a.bidMicros !== b.bidMicros) return a.bidMicros > b.bidMicros;
      if (a.slot === b.slot) return TYPES.indexOf(a.match) < TYPES.indexOf(b.match);
      return adOf(a.slot).id < adOf(b.slot).id;
    };
    const hits: KeywordHit[] = [];
    const booked = new Map<number, KeywordHit>();
    const offer = (hit: KeywordHit): void => {
      const full = hits.length === limit;
      if (limit === 0 || (full && !better(hit, hits.at(-1)!))) return;
      const same = hits.findIndex(({ slot }) => slot === hit.slot);
      if (same >= 0) {
        if (!better(hit, hits[same]!)) return;
        hits.splice(same, 1);
      } else if (full) hits.pop();
      const at = hits.findIndex((other) => better(hit, other));
      hits.splice(at < 0 ? hits.length : at, 0, hit);
    };
    for (const { phrase, narrowest, share: coverage } of this.#phrases.matching(query)) {
      const bids = this.#bids.get(phrase);
      const least = TYPES.indexOf(narrowest);
      const bookings = this.#bookings[phrase] ?? [];
      for (let i = 0; i < bookings.length; i++) {
        const booking = bookings[i]!;
        const type = booking % 3;
        if (type < least) continue; // booked narrower than it matches
        const match = TYPES[type]!;
        const slot = (booking - type) / 3;
        const score = TIER[narrowest] + coverage;
        const wanted = also.has(slot);
        if (!wanted && (limit === 0 || (hits.length === limit && score < hits.at(-1)!.score))) continue;
        const hit = { slot, score, match, coverage, bidMicros: bids?.[i] ?? adOf(slot).bidMicros };
        if (!wanted && hits.length === limit && !better(hit, hits.at(-1)!)) continue;
        // Whether it is accepted comes last: asking is what costs.
        if (!accept(slot)) continue;
        if (wanted) {
          const known = booked.get(slot);
          if (known === undefined || better(hit, known)) booked.set(slot, hit);
        }
        offer(hit);
      }
    }
    for (const hit of hits) booked.set(hit.slot, hit);
    return { hits, booked };
  }
}

/** The keywords and the negative keywords of a generation's ads by row, letting others run in between. */
export async function indexKeywords(
  ads: readonly { ad: Pick<Ad, 'keywords' | 'negatives'> }[],
): Promise<{ keywords: KeywordIndex; negatives: NegativeIndex<number> }> {
  const keywords = new KeywordIndex();
  const negatives = new NegativeIndex<number>();
  await inTurns(ads, ({ ad }, row) => {
    keywords.put(row, ad.keywords);
    negatives.put(row, ad.negatives);
  });
  await keywords.settle();
  await negatives.settle();
  return { keywords, negatives };
}
