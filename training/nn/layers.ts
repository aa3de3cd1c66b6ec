/** Layers shared by the encoders: small functions that add nodes to a graph. Parameter names are the checkpoint's. */
import type { Graph, Value } from '../graph/graph.ts';

/** x [..., in] -> [..., out] without bias; the weight is stored [in, out]. */
export function project(g: Graph, x: Value, { name, out }: { name: string; out: number }): Value {
  return g.matmul(x, g.parameter(`${name}.weight`, [x.shape.at(-1)!, out]));
}

/** x [..., in] -> [..., out] with bias. */
export function linear(g: Graph, x: Value, { name, out }: { name: string; out: number }): Value {
  return g.plus(project(g, x, { name, out }), g.parameter(`${name}.bias`, [out]));
}

/** Layer normalisation over the last axis with gain and bias. */
export function layerNorm(g: Graph, x: Value, { name, epsilon }: { name: string; epsilon: number }): Value {
  const width = x.shape.at(-1)!;
  const gain = g.parameter(`${name}.weight`, [width]);
  const bias = g.parameter(`${name}.bias`, [width]);
  if (g.fused) return g.add('layerNorm', [x, gain, bias], { epsilon });
  return g.plus(g.times(g.standardize(x, epsilon), gain), bias);
}

/** Root-mean-square normalisation over the last axis with gain (Zhang and Sennrich, 2019). */
export function rmsNorm(g: Graph, x: Value, { name, epsilon }: { name: string; epsilon: number }): Value {
  const size = g.apply('sqrt', g.plus(g.mean(g.times(x, x), [x.shape.length - 1], true), epsilon));
  return g.times(g.over(x, size), g.parameter(`${name}.weight`, [x.shape.at(-1)!]));
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

/** positions int64 [tokens] -> [tokens, tokens]: 0 where the row's token may look, a large negative number at later tokens. */
export function causalBias(g: Graph, positions: Value): Value {
  const [tokens] = positions.shape as [number];
  const later = g.greater(g.reshape(positions, [1, tokens]), g.reshape(positions, [tokens, 1]));
  return g.where(later, -1e9, 0);
}

/** Rotary positions (Su et al., 2021): cosines and sines [tokens, width / 2] of position / theta^(2i / width). */
export function rotation(
  g: Graph,
  positions: Value,
  { width, theta }: { width: number; theta: number },
): Record<'cosines' | 'sines', Value> {
  const half = width / 2;
  const rates = g.constant(
    Array.from({ length: half }, (_, i) => theta ** (-i / half)),
    [half],
  );
  const angles = g.times(g.reshape(g.cast(positions, 'float32'), [positions.shape[0]!, 1]), rates);
  return { cosines: g.apply('cos', angles), sines: g.apply('sin', angles) };
}

/** Turns [..., tokens, width] by its positions: component i with component i + width / 2. */
export function rotate(g: Graph, x: Value, { cosines, sines }: ReturnType<typeof rotation>): Value {
  const axis = x.shape.length - 1;
  const width = x.shape[axis] as number;
  const [a, b] = [g.slice(x, axis, [0, width / 2]), g.slice(x, axis, [width / 2, width])];
  return g.concat(
    [g.minus(g.times(a, cosines), g.times(b, sines)), g.plus(g.times(b, cosines), g.times(a, sines))],
    axis,
  );
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

/** Attention of each head over [batch, tokens, heads * width], the heads side by side; bias [batch, 1, 1, tokens]. */
export function multiHeadAttention(
  g: Graph,
  { query, key, value, bias, heads }: Record<'query' | 'key' | 'value' | 'bias', Value> & { heads: number },
): Value {
  if (g.fused) return g.add('attention', [query, key, value, bias], { heads });
  const split = (x: Value) => splitHeads(g, x, heads);
  return mergeHeads(g, attention(g, { query: split(query), key: split(key), value: split(value), bias }));
}

/** Hidden states [batch, tokens, dim] -> [batch, dim]: the sum over unmasked tokens. */
export function sumPool(g: Graph, hidden: Value, mask: Value): Value {
  const [batch, tokens, dim] = hidden.shape as [number, number, number];
  // A product instead of a masked sum: one pass over the states, forwards and backwards.
  const weights = g.reshape(g.cast(mask, 'float32'), [batch, 1, tokens]);
  return g.reshape(g.matmul(weights, hidden), [batch, dim]);
}

/** Hidden states [batch, tokens, dim] -> [batch, dim]: the mean over unmasked tokens. */
export function meanPool(g: Graph, hidden: Value, mask: Value): Value {
  const count = g.sum(g.cast(mask, 'float32'), [1], true);
  return g.over(sumPool(g, hidden, mask), g.maximum(count, 1e-9));
}

/** Hidden states [batch, tokens, dim] -> [batch, dim]: the first token. */
export function firstPool(g: Graph, hidden: Value): Value {
  const [batch, , dim] = hidden.shape as [number, number, number];
  return g.reshape(g.slice(hidden, 1, [0, 1]), [batch, dim]);
}

/** Hidden states [batch, tokens, dim] -> [batch, dim]: the last unmasked token of each row. */
export function lastPool(g: Graph, hidden: Value, mask: Value): Value {
  const [batch, tokens, dim] = hidden.shape as [number, number, number];
  const places = g.times(g.cast(mask, 'float32'), g.cast(g.positions(mask, 1), 'float32'));
  // Chosen by a product, whose gradient is a product too; a row of padding alone gives its first state.
  const chosen = g.equal(g.cast(g.positions(mask, 1), 'float32'), g.max(places, [1], true));
  return g.reshape(g.matmul(g.reshape(g.cast(chosen, 'float32'), [batch, 1, tokens]), hidden), [batch, dim]);
}

/** Rows of [batch, dim] scaled to length 1. */
export function normalizeRows(g: Graph, x: Value): Value {
  if (g.fused) return g.add('unitRows', [x], {});
  return g.over(x, g.maximum(g.apply('sqrt', g.sum(g.times(x, x), [1], true)), 1e-12));
}
