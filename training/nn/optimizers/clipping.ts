/** Gradient clipping by global norm (Pascanu et al., 2013). */
import type { Graph, Value } from '../../graph/graph.ts';

/** The L2 norm over all gradients together. */
export function globalNorm(g: Graph, gradients: readonly Value[]): Value {
  const squares = gradients.map((gradient) => g.sum(g.times(gradient, gradient), [...gradient.shape.keys()]));
  return g.apply(
    'sqrt',
    squares.reduce((sum, square) => g.plus(sum, square)),
  );
}

/** The factor that brings a norm down to `limit`; 1 where it is below. */
export function clipFactor(g: Graph, norm: Value, limit: number): Value {
  return g.minimum(g.over(limit, g.plus(norm, 1e-6)), 1);
}
