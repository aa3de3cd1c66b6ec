/** Layers shared by the encoders: small functions that add nodes to a graph. Parameter names are the checkpoint's. */
import type { Graph, Value } from '../graph/graph.ts';

/** x [..., in] -> [..., out]; the weight is stored [in, out]. */
export function linear(g: Graph, x: Value, { name, out }: { name: string; out: number }): Value {
  const weight = g.parameter(`${name}.weight`, [x.shape.at(-1)!, out]);
  return g.plus(g.matmul(x, weight), g.parameter(`${name}.bias`, [out]));
}

/** Layer normalisation over the last axis with gain and bias. */
export function layerNorm(g: Graph, x: Value, { name, epsilon }: { name: string; epsilon: number }): Value {
  const width = x.shape.at(-1)!;
  const gain = g.parameter(`${name}.weight`, [width]);
  return g.plus(g.times(g.standardize(x, epsilon), gain), g.parameter(`${name}.bias`, [width]));
}

/** [batch, tokens, hidden] -> [batch, heads, tokens, hidden / heads]. */
export function splitHeads(g: Graph, x: Value, heads: number): Value {
  const [batch, tokens, hidden] = x.shape as [number, number, number];
  return g.transpose(g.reshape(x, [batch, tokens, heads, hidden / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, tokens, width] -> [batch, tokens, heads * width]. */
export function mergeHeads(g: Graph, x: Value): Value {
  const [batch, heads, tokens, width] = x.shape as [number, number, number, number];
  return g.reshape(g.transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * width]);
}

/** attention_mask int64 [batch, tokens] -> [batch, 1, 1, tokens]: 0 where a token is, a large negative number where padding is. */
export function maskBias(g: Graph, mask: Value): Value {
  const [batch, tokens] = mask.shape as [number, number];
  return g.reshape(g.times(g.minus(g.cast(mask, 'float32'), 1), 1e9), [batch, 1, 1, tokens]);
}

/** Scaled dot-product attention (Vaswani et al., 2017) over [batch, heads, tokens, width]; `bias` broadcasts against the scores. */
export function attention(
  g: Graph,
  { query, key, value, bias }: Record<'query' | 'key' | 'value' | 'bias', Value>,
): Value {
  const width = query.shape.at(-1) as number;
  const scores = g.times(g.matmul(query, key, { transB: true }), 1 / Math.sqrt(width));
  return g.matmul(g.apply('softmax', g.plus(scores, bias)), value);
}

/** Hidden states [batch, tokens, dim] -> [batch, dim]: the mean over unmasked tokens. */
export function meanPool(g: Graph, hidden: Value, mask: Value): Value {
  const [batch, tokens, dim] = hidden.shape as [number, number, number];
  const weights = g.cast(mask, 'float32');
  // A product instead of a masked sum: one pass over the states, forwards and backwards.
  const sum = g.reshape(g.matmul(g.reshape(weights, [batch, 1, tokens]), hidden), [batch, dim]);
  return g.over(sum, g.maximum(g.sum(weights, [1], true), 1e-9));
}

/** Hidden states [batch, tokens, dim] -> [batch, dim]: the first token. */
export function firstPool(g: Graph, hidden: Value): Value {
  const [batch, , dim] = hidden.shape as [number, number, number];
  return g.reshape(g.slice(hidden, 1, [0, 1]), [batch, dim]);
}

/** Rows of [batch, dim] scaled to length 1. */
export function normalizeRows(g: Graph, x: Value): Value {
  return g.over(x, g.maximum(g.apply('sqrt', g.sum(g.times(x, x), [1], true)), 1e-12));
}
