/**
 * What the lexical index keeps of an ad: how often each field has each term, and how long the fields are. The counts of
 * a term are one 16-bit number, so that a posting is six bytes; a word that occurs more often than fits counts as often
 * as fits, where BM25 is nearly flat anyway.
 */
import type { Ad } from '../../shared/contract/ads.ts';
import {
  FIELD_CERTAINTY,
  forTerms,
  indexTerm,
  type LexicalField,
  TERMS_VERSION,
  tokens,
} from '../../shared/coverage.ts';
import { lexicalText } from '../../shared/coverage-index.ts';

/** Raised, by either part, whenever terms, fields or the file change: an index written under another version is rebuilt. */
export const LEXICAL_VERSION = 100 * TERMS_VERSION + 6;

/** Fields in the order in which their counts, lengths and scores are kept, with their place in a packed count. */
export const FIELDS: readonly { name: LexicalField; boost: number; shift: number; most: number; certainty: number }[] =
  [
    { name: 'title', boost: 2, shift: 0, most: 15, certainty: FIELD_CERTAINTY.title },
    { name: 'keywords', boost: 1.5, shift: 4, most: 127, certainty: FIELD_CERTAINTY.keywords },
    { name: 'description', boost: 1, shift: 11, most: 31, certainty: FIELD_CERTAINTY.description },
  ];

export interface IndexedAd {
  id: string;
  /** Packed counts, by term. */
  counts: Map<string, number>;
  /** Distinct tokens of each field, stop words included. */
  lengths: readonly number[];
}

/** How often a field has the term of these packed counts. */
export const countIn = (packed: number, { shift, most }: (typeof FIELDS)[number]): number => (packed >> shift) & most;

/** How sure a term of these packed counts is what the ad is about, 0 to 1. */
export function certaintyOf(packed: number): number {
  let certainty = 0;
  for (let f = 0; f < FIELDS.length; f++) {
    const field = FIELDS[f]!;
    if (field.certainty > certainty && countIn(packed, field) > 0) certainty = field.certainty;
  }
  return certainty;
}

export function indexedAd(ad: Ad): IndexedAd {
  const text = lexicalText(ad);
  const counts = new Map<string, number>();
  const lengths = FIELDS.map((field) => {
    const words = tokens(forTerms(text[field.name]));
    for (const word of words) {
      const term = indexTerm(word);
      if (term === null) continue;
      const packed = counts.get(term) ?? 0;
      if (countIn(packed, field) < field.most) counts.set(term, packed + (1 << field.shift));
    }
    return new Set(words).size;
  });
  return { id: ad.id, counts, lengths };
}
