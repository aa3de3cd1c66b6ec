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
