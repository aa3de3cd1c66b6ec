/**
 * Queries as a student sees them that never met their rarest word: without it. The relevance map of queries with new words
 * (shared/new-words.ts) is fitted on them, because hardly a validation query has such a word itself: what is split are phrasings.
 */
import { indexTerm, tokens } from '../../shared/coverage.ts';
import type { CoverageIndex } from '../../shared/coverage-index.ts';
import type { JudgedQuery } from './market.ts';

export interface Forgotten {
  readonly query: JudgedQuery;
  /** What is left of its normalized text. */
  readonly text: string;
}

/** Of each query whose rarest word some ad has, and which has others. */
export function withoutRarestWord(queries: readonly JudgedQuery[], index: CoverageIndex): Forgotten[] {
  return queries.flatMap((query) => {
    const rarest = index.rarestTerm(query.normalized);
    if (rarest === undefined) return [];
    const has = (word: string) => tokens(word).some((token) => indexTerm(token) === rarest);
    const text = query.normalized
      .split(' ')
      .filter((word) => !has(word))
      .join(' ');
    return text === '' ? [] : { query, text };
  });
}
