/**
 * Queries without their rarest word, as a student sees them that has never met it. The relevance map of queries with
 * new words (shared/new-words.ts) is fitted on them, because hardly any validation query has a new word itself: the
 * split is by phrasing.
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
