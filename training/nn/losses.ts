/** Training objectives: scalars, averaged over the batch. */
import type { Graph, Value } from '../graph/graph.ts';

/**
 * Squared L2 distance between student and teacher vectors, both [batch, dim] with a known batch: the alignment objective of HARNESS-LM's
 * phase 2 (arXiv 2605.23572). For vectors of length 1 it is 2 - 2 cosine.
 */
export function squaredDistance(g: Graph, student: Value, teacher: Value): Value {
  const difference = g.minus(student, teacher);
  return g.mean(g.sum(g.times(difference, difference), [1]), [0]);
}

export interface ContrastiveOptions {
  /** Temperature: logits are cosines divided by it. */
  readonly temperature: number;
  /** A document that scores above the positive by more than this cosine is taken for a missed positive and left out. */
  readonly falseNegativeMargin: number;
}

/** Far below any logit, and finite: infinities have no gradient. */
const OUT = -1e4;

/**
 * InfoNCE (van den Oord et al., 2018) of queries [batch, dim] against documents [documents, dim], all of length 1; document i is the
 * positive of query i, every other one a negative. `bias` [batch, documents] is added to the logits: 0, or a large negative number for
 * a pair known to be no negative. The false-negative mask is that of Qwen3-Embedding (arXiv 2506.05176).
 */
export function contrastive(
  g: Graph,
  { queries, documents, bias }: Record<'queries' | 'documents' | 'bias', Value>,
  { temperature, falseNegativeMargin }: ContrastiveOptions,
): Value {
  const batch = queries.shape[0] as number;
  const logits = g.times(g.matmul(queries, documents, { transB: true }), 1 / temperature);
  const positive = g.times(g.sum(g.times(queries, g.slice(documents, 0, [0, batch])), [1], true), 1 / temperature);
  const missed = g.greater(logits, g.plus(positive, falseNegativeMargin / temperature));
  const considered = g.where(missed, OUT, g.plus(logits, bias));
  const peak = g.max(considered, [1], true);
  const total = g.plus(g.apply('log', g.sum(g.apply('exp', g.minus(considered, peak)), [1], true)), peak);
  return g.mean(g.reshape(g.minus(total, positive), [batch]), [0]);
}
