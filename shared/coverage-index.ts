/** Inverted lists of ads, for their coverage of a query (coverage.ts) where there is no search engine. */
import type { Ad } from './contract/ads.ts';
import { coverage, FIELD_CERTAINTY, forTerms, type LexicalField, terms, termWeight } from './coverage.ts';

/** The words of an ad, by field. */
export type LexicalText = Record<LexicalField, string>;

export const lexicalText = ({ title, keywords, description }: Ad): LexicalText => ({
  title,
  keywords: keywords.map(({ text }) => text).join(' '),
  description,
});

export class CoverageIndex {
  readonly #size: number;
  /** By term, the certainty of each ad that has it, by its place in the list. */
  readonly #postings = new Map<string, Map<number, number>>();

  constructor(ads: readonly LexicalText[]) {
    this.#size = ads.length;
    for (const [place, ad] of ads.entries()) {
      for (const [field, certainty] of Object.entries(FIELD_CERTAINTY)) {
        for (const term of terms(forTerms(ad[field as LexicalField]))) {
          const having = this.#postings.get(term) ?? new Map<number, number>();
          this.#postings.set(term, having.set(place, Math.max(having.get(place) ?? 0, certainty)));
        }
      }
    }
  }

  /** The term of a normalized query that the fewest ads have, of those that any has. */
  rarestTerm(query: string): string | undefined {
    const having = (term: string) => this.#postings.get(term)?.size ?? 0;
    const found = terms(query).filter((term) => having(term) > 0);
    return found.reduce<string | undefined>(
      (rarest, term) => (rarest === undefined || having(term) < having(rarest) ? term : rarest),
      undefined,
    );
  }

  /** Coverage, above 0 and up to 1, of a normalized query by each ad that shares a term with it, by place. */
  search(query: string): Map<number, number> {
    const having = new Map(terms(query).map((term) => [term, this.#postings.get(term)]));
    const weights = new Map([...having].map(([term, list]) => [term, termWeight(this.#size, list?.size ?? 0)]));
    const places = new Set([...having.values()].flatMap((list) => [...(list?.keys() ?? [])]));
    return new Map([...places].map((place) => [place, coverage(weights, (term) => having.get(term)?.get(place) ?? 0)]));
  }
}
