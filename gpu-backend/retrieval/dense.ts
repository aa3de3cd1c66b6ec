/** The dense retriever: the student's vector of the query, then the nearest ads of the market. */
import type { Scope, View } from '../generations/view.ts';
import type { Hit } from '../index/ann-index.ts';
import type { Found } from './fuse.ts';

/** Of what the index `proposed` (View.propose), best first by cosine; `query` is [dimension] float32 in the view's space. */
export function dense(
  view: View,
  query: Float32Array,
  { proposed, ...scope }: Scope & { proposed: readonly Hit[]; limit: number },
): Found[] {
  return view.dense(query, proposed, scope).map(({ row, score }) => ({ slot: row, score }));
}
