/** The pairs that the relevance maps are fitted on (relevance.ts), with the judges' verdicts. */
import type { Ad } from '../../shared/contract/ads.ts';
import { queryCosines } from '../../shared/cosine-adapter.ts';
import type { CoverageIndex } from '../../shared/coverage-index.ts';
import { type JudgedQuery, mayShow } from './market.ts';
import { RELEVANT } from './metrics.ts';
import type { LabelledPair } from './relevance.ts';
import type { Hit } from './search.ts';

export interface LabelledPairsOptions {
  readonly ads: readonly Ad[];
  /** Of the same ads, in their order. */
  readonly index: CoverageIndex;
  /** float32 [ads, dimension], rows of length 1. */
  readonly rows: Float32Array;
  /** The student's vectors of the queries, float32 [queries, dimension], rows of length 1. */
  readonly vectors: Float32Array;
  readonly queries: readonly JudgedQuery[];
  /** What the student finds for each. */
  readonly hits: readonly (readonly Hit[])[];
  /** Ads by shared words that join them, a query. */
  readonly depth: number;
}

/**
 * The pairs that an ensemble meets: what the student finds for each query, and as many ads of the query's market as share
 * most of its words.
 */
export function labelledPairs({
  ads,
  index,
  rows,
  vectors,
  queries,
  hits,
  depth,
}: LabelledPairsOptions): LabelledPair[] {
  const dimension = rows.length / ads.length;
  const cosineOf = (query: number, row: number): number => {
    let sum = 0;
    for (let i = 0; i < dimension; i++) sum += vectors[query * dimension + i]! * rows[row * dimension + i]!;
    return sum;
  };
  return queries.flatMap((query, i) => {
    const coverage = index.search(query.normalized);
    const shared = [...coverage]
      .filter(([row]) => mayShow(ads[row]!, query))
      .sort(([a, x], [b, y]) => y - x || a - b)
      .slice(0, depth);
    const bestCoverage = shared[0]?.[1] ?? 0;
    const met = new Set([...hits[i]!.map(({ row }) => row), ...shared.map(([row]) => row)]);
    const cosines = new Map([...met].map((row) => [row, cosineOf(i, row)]));
    const nearest = queryCosines(query.normalized, cosines.values());
    return [...cosines].map(([row, cosine]) => ({
      cosine,
      ...nearest,
      coverage: coverage.get(row) ?? 0,
      bestCoverage,
      relevant: (query.judgements.get(ads[row]!.id) ?? 0) >= RELEVANT,
    }));
  });
}
