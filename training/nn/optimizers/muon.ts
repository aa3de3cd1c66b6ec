/**
 * Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/): hidden weight matrices move along the orthogonalised Nesterov
 * momentum of their gradient; tables, biases and gains are AdamW's. The step is scaled by 0.2 sqrt(max(rows, columns)) (Liu et al., arXiv
 * 2502.16982), which gives its elements the size of AdamW's: one learning rate and weight decay serve both, and how a weight is laid out
 * does not matter.
 */
import type { Graph, Value } from '../../graph/graph.ts';
import { type AdamWOptions, adamW } from './adamw.ts';
import { decayed, type Named, type Optimizer } from './optimizer.ts';

export interface MuonOptions extends AdamWOptions {
  /** Share of the momentum that is kept. */
  readonly momentum: number;
}

/** Coefficients of the quintic iteration: steep at 0, so that five rounds bring any singular value to somewhere near 1. */
const [A, B, C] = [3.4445, -4.775, 2.0315];
const ROUNDS = 5;
const SMALLEST_NORM = 1e-7;

/** By the checkpoints' names: tables and other matrices that are no linear layer's do not count. */
const isHiddenMatrix = ({ attributes: { name }, shape }: Named): boolean =>
  shape.length === 2 && name.endsWith('.weight') && !name.includes('embed');

/** An approximation of the nearest semi-orthogonal matrix to `x` [rows, columns], by Newton-Schulz iteration on its smaller side. */
function orthogonalize(g: Graph, x: Value): Value {
  const [rows, columns] = x.shape as [number, number];
  const norm = g.apply('sqrt', g.sum(g.times(x, x), [0, 1]));
  let y = g.over(x, g.maximum(norm, SMALLEST_NORM));
  for (let round = 0; round < ROUNDS; round++) {
    const wide = rows <= columns;
    const gram = wide ? g.matmul(y, y, { transB: true }) : g.matmul(y, y, { transA: true });
    const factor = g.plus(g.times(gram, B), g.times(g.matmul(gram, gram), C));
    y = g.plus(g.times(y, A), wide ? g.matmul(factor, y) : g.matmul(y, factor));
  }
  return y;
}

/** Muon for the weights of linear layers, AdamW for everything else. */
export function muon({ momentum, ...options }: MuonOptions): Optimizer {
  const others = adamW(options);
  return {
    slots: (parameter) => (isHiddenMatrix(parameter) ? ['momentum'] : others.slots(parameter)),
    update(g, inputs) {
      const { parameter, gradient, slots, rate, clip } = inputs;
      if (!isHiddenMatrix(parameter)) return others.update(g, inputs);
      const share = g.times(gradient, g.times(clip, 1 - momentum));
      const next = g.plus(g.times(slots.momentum!, momentum), share);
      const direction = orthogonalize(g, g.plus(g.times(next, momentum), share));
      const size = 0.2 * Math.sqrt(Math.max(...(parameter.shape as number[])));
      const change = g.times(direction, g.times(rate, size));
      return { parameter: g.minus(decayed(g, inputs, options.weightDecay), change), slots: { momentum: next } };
    },
  };
}
