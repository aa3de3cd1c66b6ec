/** Learning-rate schedules, by name, as a scalar of the graph: a linear warm-up from 0 to the peak, then the schedule's way down. */
import type { Graph, Value } from '../../graph/graph.ts';

/** Names of the schedules. */
export const SCHEDULES = ['linear', 'cosine', 'constant', 'wsd'] as const;
/**
 * linear: a line to the floor. cosine: half a wave to the floor (Loshchilov and Hutter, 2017). constant: no way down.
 * wsd: warm-up, stable, decay (Hu et al., arXiv 2404.06395): the peak until `decayShare` of the steps is left, then a line to the floor.
 */
export type ScheduleName = (typeof SCHEDULES)[number];

/** Rates over a training. */
export interface Schedule {
  /** Default `linear`. */
  readonly name?: ScheduleName;
  /** Highest learning rate, reached at the end of the warm-up. */
  readonly peak: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** The rate at `totalSteps`, as a share of the peak. */
  readonly floor: number;
  /** Share of all steps in which `wsd` decays; default 0.1. */
  readonly decayShare?: number;
}

/** The rate of a step, a float32 scalar counting from 1. */
export function learningRate(g: Graph, step: Value, schedule: Schedule): Value {
  const { name = 'linear', peak, warmupSteps, totalSteps, floor, decayShare = 0.1 } = schedule;
  const up = g.minimum(g.times(step, 1 / Math.max(1, warmupSteps)), 1);
  /** What is left of the last `span` steps: 1 before them, 0 from `totalSteps` on. */
  const left = (span: number) => g.minimum(g.maximum(g.times(g.minus(totalSteps, step), 1 / Math.max(1, span)), 0), 1);
  const above = (share: Value) => g.plus(g.times(share, 1 - floor), floor);
  const down: Record<ScheduleName, () => Value> = {
    linear: () => above(left(totalSteps - warmupSteps)),
    cosine: () => {
      const wave = g.apply('cos', g.times(g.minus(1, left(totalSteps - warmupSteps)), Math.PI));
      return above(g.times(g.plus(wave, 1), 0.5));
    },
    constant: () => g.scalar(1),
    wsd: () => above(left(decayShare * totalSteps)),
  };
  return g.times(g.minimum(up, down[name]()), peak);
}
