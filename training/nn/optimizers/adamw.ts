/** Adam with decoupled weight decay and bias correction (Loshchilov and Hutter, 2019, algorithm 2). */
import type { Graph, Value } from '../../graph/graph.ts';
import { decayed, type Optimizer } from './optimizer.ts';

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** 1 - beta^step, with beta^step as exp(step log beta). */
const correction = (g: Graph, step: Value, beta: number): Value =>
  g.minus(1, g.apply('exp', g.times(step, Math.log(beta))));

/** AdamW: the slots are `m`, the mean of the gradient, and `v`, the mean of its square. */
export function adamW({ beta1, beta2, epsilon, weightDecay }: AdamWOptions): Optimizer {
  return {
    slots: () => ['m', 'v'],
    update(g, inputs) {
      const { gradient, slots, rate, step, clip } = inputs;
      // Scalars are combined first, so that each tensor is passed over as few times as possible.
      const m = g.plus(g.times(slots.m!, beta1), g.times(gradient, g.times(clip, 1 - beta1)));
      const square = g.times(gradient, gradient);
      const v = g.plus(g.times(slots.v!, beta2), g.times(square, g.times(g.times(clip, clip), 1 - beta2)));
      // rate * (m / c1) / (sqrt(v / c2) + epsilon), with sqrt(c2) moved out of the root.
      const root = g.apply('sqrt', correction(g, step, beta2));
      const size = g.over(g.times(rate, root), correction(g, step, beta1));
      const change = g.times(g.over(m, g.plus(g.apply('sqrt', v), g.times(root, epsilon))), size);
      return { parameter: g.minus(decayed(g, inputs, weightDecay), change), slots: { m, v } };
    },
  };
}
