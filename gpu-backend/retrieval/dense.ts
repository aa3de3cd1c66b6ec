/** The dense retriever: the student's vector of the query, then the nearest ads of the market. */
import type { View } from '../generations/view.ts';
import type { Found } from './fuse.ts';

/** Best first by cosine; `query` is [dimension] float32 in the view's space. */
export function dense(view: View, query: Float32Array, { market, limit }: { market: string; limit: number }): Found[] {
  return view.dense(query, market, limit).map(({ row, score }) => ({ slot: row, score }));
}
