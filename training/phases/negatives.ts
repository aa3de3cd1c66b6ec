/**
 * Hard negatives from the mistakes of the very encoder that is trained: for each clicked query the best ads that nobody
 * clicked, below a share of the clicked ad's cosine, because what scores as high as the positive is mostly a positive
 * that was never shown. (TopK with a percentage cap: NV-Retriever, arXiv 2407.15831.)
 */
import type { ClickedQuery } from '../data/pairs.ts';
import { openSearch } from '../evaluate/search.ts';

export interface MiningOptions {
  readonly queries: readonly ClickedQuery[];
  /** The encoder's vectors of the queries, the student's or in phase 1 the teacher's: float32 [queries, dimension], rows of length 1. */
  readonly vectors: Float32Array;
  /** The teacher's ad vectors, float32 [ads, dimension], rows of length 1. */
  readonly ads: Float32Array;
  readonly dimension: number;
  /** Whether an ad is booked in a market. */
  readonly booked: (row: number, market: string) => boolean;
  /** Negatives a query, at most. */
  readonly depth: number;
  /** Share of the best clicked ad's cosine above which an ad is taken for a positive. */
  readonly cap: number;
}

export interface Mined {
  /** Rows of the ads, one list a query; empty where everything near is taken for a positive. */
  readonly negatives: readonly (readonly number[])[];
  /** Why ads among the nearest were passed over. */
  readonly skipped: { readonly clicked: number; readonly aboveCap: number };
}

/** Looked through for each query: enough to find `depth` below the cap. */
const LOOKED_AT = 4;

/** By exact search among the ads of each query's market. */
export async function mineNegatives(options: MiningOptions): Promise<Mined> {
  const { queries, vectors, ads, dimension, booked, depth, cap } = options;
  const search = await openSearch(ads, dimension);
  const found = await search.search(vectors, {
    k: LOOKED_AT * depth,
    allowed: (query, row) => booked(row, queries[query]!.market),
  });
  await search.close();
  const cosine = (query: number, row: number): number => {
    let sum = 0;
    for (let i = 0; i < dimension; i++) sum += vectors[query * dimension + i]! * ads[row * dimension + i]!;
    return sum;
  };
  const skipped = { clicked: 0, aboveCap: 0 };
  const negatives = queries.map((query, i) => {
    const clicked = new Set(query.ads.map(({ row }) => row));
    const ceiling = cap * Math.max(...query.ads.map(({ row }) => cosine(i, row)));
    const rows: number[] = [];
    for (const { row, score } of found[i]!) {
      if (rows.length === depth) break;
      if (clicked.has(row)) skipped.clicked++;
      else if (score > ceiling) skipped.aboveCap++;
      else rows.push(row);
    }
    return rows;
  });
  return { negatives, skipped };
}
