/**
 * Queries that share clicked ads, as a graph: what regularises the query tower offline and costs nothing when it serves. (Graph
 * regularised encoder training: RAMEN, arXiv 2402.18434.)
 *
 * Edges are not listed, which would take the square of an ad's queries; they are walked, from a query over one of its ads to another
 * query. Of each ad at most `perAd` queries are held, an even sample of those that came.
 */
import { type ClickedQuery, drawAd } from './pairs.ts';

/** The graph, as far as training asks. */
export interface CoClicks {
  /** Another query that shares an ad with this one, by the ad's weight; undefined where there is none. */
  neighbour(query: number, random: () => number): number | undefined;
  /** Whether two queries share a clicked ad. */
  related(a: number, b: number): boolean;
}

export interface CoClickOptions {
  /** Queries held of an ad, at most. */
  readonly perAd: number;
  /** Uniform in [0, 1): which of an ad's queries are held. */
  readonly random: () => number;
}

/** @param queries Numbered in their order. */
export function coClicks(queries: readonly ClickedQuery[], { perAd, random }: CoClickOptions): CoClicks {
  const queriesOf = new Map<number, { held: number[]; seen: number }>();
  const adsOf = queries.map(({ ads }) => new Set(ads.map(({ row }) => row)));
  queries.forEach(({ ads }, query) => {
    for (const { row } of ads) {
      const ad = queriesOf.get(row) ?? { held: [], seen: 0 };
      // Reservoir sampling (Vitter, 1985): each of the ad's queries is held with the same chance.
      const place = ad.seen < perAd ? ad.seen : Math.floor(random() * (ad.seen + 1));
      if (place < perAd) ad.held[place] = query;
      ad.seen++;
      queriesOf.set(row, ad);
    }
  });
  const others = (query: number, row: number) => queriesOf.get(row)!.held.filter((other) => other !== query);
  return {
    neighbour(query, draw) {
      const ads = queries[query]!.ads.filter(({ row }) => others(query, row).length > 0);
      if (ads.length === 0) return undefined;
      const near = others(query, drawAd({ ...queries[query]!, ads }, draw));
      return near[Math.floor(draw() * near.length)];
    },
    related: (a, b) => !adsOf[a]!.isDisjointFrom(adsOf[b]!),
  };
}
