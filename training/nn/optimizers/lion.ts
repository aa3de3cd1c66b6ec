/**
 * Lion (Chen et al., arXiv 2302.06675, algorithm 2): the sign of an interpolated momentum, one slot per parameter
 * instead of AdamW's two. Its steps are of one size, so the rate is 3 to 10 times below AdamW's, and the weight decay
 * as many times above.
 */
import { decayed, type Optimizer } from './optimizer.ts';

export interface LionOptions {
  /** Share of the momentum in the direction of a step. */
  readonly beta1: number;
  /** Share of the momentum that is kept. */
  readonly beta2: number;
  readonly weightDecay: number;
}

/** Lion: the slot `m` is the momentum. */
export function lion({ beta1, beta2, weightDecay }: LionOptions): Optimizer {
  return {
    slots: () => ['m'],
    update(g, inputs) {
      const { gradient, slots, rate, clip } = inputs;
      const mixed = (beta: number) => g.plus(g.times(slots.m!, beta), g.times(gradient, g.times(clip, 1 - beta)));
      const change = g.times(g.apply('sign', mixed(beta1)), rate);
      return { parameter: g.minus(decayed(g, inputs, weightDecay), change), slots: { m: mixed(beta2) } };
    },
  };
}
