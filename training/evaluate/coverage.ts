/** Lexical coverage of a query by each ad of a catalogue, as serving computes it (shared/coverage.ts), from inverted lists. */
import type { Ad } from '../../shared/contract/ads.ts';
import { coverage, FIELD_CERTAINTY, type LexicalField, terms, termWeight } from '../../shared/coverage.ts';
import { normalize } from '../../shared/text.ts';

/** Rows of the ads that share a term with a normalized query, and the coverage of each, 0 to 1. */
export type CoverageOf = (query: string) => ReadonlyMap<number, number>;

/** Builds the inverted lists. */
export function coverageOver(ads: readonly Ad[]): CoverageOf {
  const postings = new Map<string, Map<number, number>>();
  for (const [row, ad] of ads.entries()) {
    const fields: Record<LexicalField, string> = {
      title: ad.title,
      keywords: ad.keywords.map(({ text }) => text).join(' '),
      description: ad.description,
    };
    for (const [field, text] of Object.entries(fields)) {
      const certainty = FIELD_CERTAINTY[field as LexicalField];
      for (const term of terms(normalize(text))) {
        const having = postings.get(term) ?? new Map<number, number>();
        postings.set(term, having.set(row, Math.max(having.get(row) ?? 0, certainty)));
      }
    }
  }
  return (query) => {
    const weights = new Map(terms(query).map((term) => [term, termWeight(ads.length, postings.get(term)?.size ?? 0)]));
    const rows = new Set([...weights.keys()].flatMap((term) => [...(postings.get(term)?.keys() ?? [])]));
    return new Map([...rows].map((row) => [row, coverage(weights, (term) => postings.get(term)?.get(row) ?? 0)]));
  };
}
