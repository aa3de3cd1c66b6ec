/** Optimizers as graph nodes: from parameters, gradients and state to new parameters and new state. */
import type { Graph, Value } from '../graph/graph.ts';

export interface Schedule {
  /** Highest learning rate, reached at the end of the warm-up. */
  readonly peak: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** The rate at `totalSteps`, as a share of the peak. */
  readonly floor: number;
}

/** Linear warm-up from 0, then linear decay to the floor. `step` is a float32 scalar counting from 1. */
export function learningRate(g: Graph, step: Value, { peak, warmupSteps, totalSteps, floor }: Schedule): Value {
  const up = g.times(step, 1 / Math.max(1, warmupSteps));
  const left = g.times(g.minus(totalSteps, step), 1 / Math.max(1, totalSteps - warmupSteps));
  const down = g.plus(g.times(g.maximum(left, 0), 1 - floor), floor);
  return g.times(g.minimum(up, g.minimum(down, 1)), peak);
}

/** The L2 norm over all gradients together. */
export function globalNorm(g: Graph, gradients: readonly Value[]): Value {
  const squares = gradients.map((gradient) => g.sum(g.times(gradient, gradient), [...gradient.shape.keys()]));
  return g.apply(
    'sqrt',
    squares.reduce((sum, square) => g.plus(sum, square)),
  );
}

/** The factor that brings a norm down to `limit` (Pascanu et al., 2013); 1 where it is below. */
export function clipFactor(g: Graph, norm: Value, limit: number): Value {
  return g.minimum(g.over(limit, g.plus(norm, 1e-6)), 1);
}

/** What an optimizer sees of one parameter; `rate`, `step` (from 1) and `clip` (factor on the gradient) are shared scalars. */
export interface UpdateInputs {
  readonly parameter: Value;
  readonly gradient: Value;
  /** The parameter's state, by slot, each of its shape. */
  readonly slots: Readonly<Record<string, Value>>;
  readonly rate: Value;
  readonly step: Value;
  readonly clip: Value;
  /** False for biases and gains. */
  readonly decays: boolean;
}

/** A rule from a gradient to the next parameter and state. */
export interface Optimizer {
  /** Names of the state kept for each parameter; zero before the first step. */
  readonly slots: readonly string[];
  readonly update: (g: Graph, inputs: UpdateInputs) => { parameter: Value; slots: Readonly<Record<string, Value>> };
}

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** 1 - beta^step, with beta^step as exp(step log beta). */
const correction = (g: Graph, step: Value, beta: number): Value =>
  g.minus(1, g.apply('exp', g.times(step, Math.log(beta))));

/** Adam with decoupled weight decay and bias correction (Loshchilov and Hutter, 2019, algorithm 2). */
export function adamW({ beta1, beta2, epsilon, weightDecay }: AdamWOptions): Optimizer {
  return {
    slots: ['m', 'v'],
    update(g, { parameter, gradient, slots, rate, step, clip, decays }) {
      // Scalars are combined first, so that each tensor is passed over as few times as possible.
      const m = g.plus(g.times(slots.m!, beta1), g.times(gradient, g.times(clip, 1 - beta1)));
      const square = g.times(gradient, gradient);
      const v = g.plus(g.times(slots.v!, beta2), g.times(square, g.times(g.times(clip, clip), 1 - beta2)));
      // rate * (m / c1) / (sqrt(v / c2) + epsilon), with sqrt(c2) moved out of the root.
      const root = g.apply('sqrt', correction(g, step, beta2));
      const size = g.over(g.times(rate, root), correction(g, step, beta1));
      const change = g.times(g.over(m, g.plus(g.apply('sqrt', v), g.times(root, epsilon))), size);
      const kept = decays && weightDecay > 0 ? g.times(parameter, g.minus(1, g.times(rate, weightDecay))) : parameter;
      return { parameter: g.minus(kept, change), slots: { m, v } };
    },
  };
}
