/** From gradients to the next state of a whole model: schedule, clipping, the optimizer's rule for each parameter, and their average. */
import type { Graph, NodeOf, Value } from '../../graph/graph.ts';
import type { TensorData } from '../../onnx/model.ts';
import { LARGEST_LOGIT_SCALE, LOGIT_SCALE } from '../losses.ts';
import { clipFactor, globalNorm } from './clipping.ts';
import type { Optimizer } from './optimizer.ts';
import { learningRate, type Schedule } from './schedule.ts';

export interface UpdateOptions {
  readonly schedule: Schedule;
  readonly optimizer: Optimizer;
  /** Largest global norm of the gradient. */
  readonly clipNorm: number;
  /**
   * Decay of the exponential moving average of the parameters, such as 0.999; 0 (default) keeps none. The first step's
   * parameters start it. It is in the state as `averageName(parameter)`.
   */
  readonly ema?: number;
}

/** A tensor of the state: as it comes in, as it goes out, and its value before the first step. */
export interface Carried {
  readonly before: Value;
  readonly next: Value;
  readonly initial: TensorData;
}

export interface Update {
  /** Parameters, the optimizer's slots (`m.x`), averages and the step count, by name. */
  readonly state: ReadonlyMap<string, Carried>;
  /** The global norm before clipping, and the rate of this step. */
  readonly gradientNorm: Value;
  readonly learningRate: Value;
}

/** Name of the count of updates made, a float32 scalar of the state. */
export const STEP = 'step';
/** Name of a parameter's moving average in the state. */
export const averageName = (parameter: string): string => `ema.${parameter}`;

/** Zeros of a tensor's shape. */
export const zeros = ({ dtype, shape, data }: TensorData): TensorData => ({
  dtype,
  shape,
  data: new Float32Array(data.length),
});

export interface ModelGradients {
  readonly trained: readonly NodeOf<'parameter'>[];
  /** Of each trained parameter, its shape. */
  readonly gradients: readonly Value[];
  /** Values of the parameters before the first step. */
  readonly weights: ReadonlyMap<string, TensorData>;
  /** A factor on every gradient, such as 1 / k for sums over k batches; default 1. */
  readonly gradientScale?: number;
}

/** Adds the update of a model's parameters. */
export function addUpdate(g: Graph, options: UpdateOptions & ModelGradients): Update {
  const { trained, gradients, weights, schedule, optimizer, clipNorm, ema = 0, gradientScale = 1 } = options;
  const state = new Map<string, Carried>();
  const before = g.parameter(STEP, []);
  const step = g.plus(before, 1);
  state.set(STEP, { before, next: step, initial: { dtype: 'float32', shape: [], data: new Float32Array(1) } });

  const scaled = (x: Value) => (gradientScale === 1 ? x : g.times(x, gradientScale));
  const rate = learningRate(g, step, schedule);
  const norm = scaled(globalNorm(g, gradients));
  const clip = scaled(clipFactor(g, norm, clipNorm));
  // 0 at the first step: the average starts as what that step gave.
  const kept = g.minimum(g.minus(step, 1), ema);

  trained.forEach((parameter, i) => {
    const { name } = parameter.attributes;
    const initial = weights.get(name);
    if (!initial) throw new Error(`no values for parameter '${name}'`);
    const names = optimizer.slots(parameter);
    const slots = Object.fromEntries(names.map((slot) => [slot, g.parameter(`${slot}.${name}`, initial.shape)]));
    const decays = parameter.shape.length > 1;
    const next = optimizer.update(g, { parameter, gradient: gradients[i]!, slots, rate, step, clip, decays });
    const moved = name === LOGIT_SCALE ? g.minimum(next.parameter, LARGEST_LOGIT_SCALE) : next.parameter;
    state.set(name, { before: parameter, next: moved, initial });
    for (const slot of names) {
      state.set(`${slot}.${name}`, { before: slots[slot]!, next: next.slots[slot]!, initial: zeros(initial) });
    }
    if (ema > 0) {
      const average = g.parameter(averageName(name), initial.shape);
      const mixed = g.plus(g.times(average, kept), g.times(moved, g.minus(1, kept)));
      state.set(averageName(name), { before: average, next: mixed, initial });
    }
  });
  return { state, gradientNorm: norm, learningRate: rate };
}
