/**
 * The ads of the head as something to search, in the isolate's memory. It ranks by lexical coverage, which is what a purely
 * lexical plan of the backend calls relevance, so that plan's cut-off and the auction read it as they read any other.
 */
import type { HeadAds } from '../../shared/contract/head.ts';
import type { Candidate } from '../../shared/contract/retrieve.ts';
import { CoverageIndex } from '../../shared/coverage-index.ts';
import { literalForm, type MatchForm, matches } from '../../shared/match-type.ts';
import type { Plan } from '../../shared/plan.ts';

export class HeadIndex {
  readonly generation: number;
  /** When the ads were taken, UTC milliseconds. */
  readonly atMs: number;
  readonly #ads: HeadAds['ads'];
  readonly #coverage: CoverageIndex;
  /** Of the negative keywords that were looked at, by their texts: a campaign's are those of all its ads. */
  readonly #forms = new Map<string, MatchForm>();

  constructor({ generation, atMs, ads }: HeadAds) {
    this.generation = generation;
    this.atMs = atMs;
    this.#ads = ads;
    this.#coverage = new CoverageIndex(
      ads.map(({ title, keywords, description }) => ({ title, keywords: keywords.join('\n'), description })),
    );
  }

  get size(): number {
    return this.#ads.length;
  }

  /** The best ads of the market for a normalized query, best first, ties by ad id; at most `k`. */
  search(query: string, market: string, { k, minRelevance }: Pick<Plan, 'k' | 'minRelevance'>): Candidate[] {
    const asked = literalForm(query);
    const ranked = [...this.#coverage.search(query)]
      .map(([place, relevance]) => ({ ad: this.#ads[place]!, relevance }))
      .filter(({ ad, relevance }) => relevance >= minRelevance && ad.markets.includes(market))
      .sort((a, b) => b.relevance - a.relevance || (a.ad.adId < b.ad.adId ? -1 : 1));
    // One by one, until there are enough: an ad may have thousands of negative keywords.
    return ranked
      .values()
      .filter(({ ad }) => !this.#isHeldOff(ad, asked))
      .take(k)
      .map(({ ad, relevance }, i) => {
        const { keywords: _, markets: __, negatives: ___, ...shown } = ad;
        return { ...shown, relevance, sources: [{ retriever: 'lexical' as const, rank: i + 1, score: relevance }] };
      })
      .toArray();
  }

  #isHeldOff({ negatives = [] }: HeadAds['ads'][number], asked: MatchForm): boolean {
    return negatives.some(({ text, match }) => {
      const form = this.#forms.get(text) ?? literalForm(text);
      this.#forms.set(text, form);
      return matches(form, asked, match);
    });
  }
}
