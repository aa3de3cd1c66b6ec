/** Gradient accumulation inside one graph: an update that happens in every k-th run only, with the mean gradient of the k runs. */
import type { Graph } from '../../graph/graph.ts';
import { addUpdate, type Carried, type ModelGradients, type Update, type UpdateOptions, zeros } from './update.ts';

/** Name of the count of batches since the last update, a float32 scalar of the state. */
const BATCHES = 'batches';

/** Name of the sum of a parameter's gradients since the last update. */
export const sumName = (parameter: string): string => `gradient.${parameter}`;

/**
 * As `addUpdate`, in every k-th run; in the others the gradients are added to sums, which are part of the state, and the rest of it stays.
 * The graph is the same in every run, so that any runner can run it.
 */
export function addAccumulatedUpdate(
  g: Graph,
  options: UpdateOptions & ModelGradients & { readonly accumulate: number },
): Update {
  const { trained, gradients, weights, accumulate } = options;
  const before = g.parameter(BATCHES, []);
  const batches = g.plus(before, 1);
  const due = g.greater(batches, accumulate - 0.5);
  const sums = trained.map(({ attributes, shape }) => g.parameter(sumName(attributes.name), shape));
  const grown = sums.map((sum, i) => g.plus(sum, gradients[i]!));

  const update = addUpdate(g, { ...options, gradients: grown, gradientScale: 1 / accumulate });
  const state = new Map<string, Carried>();
  for (const [name, carried] of update.state) {
    state.set(name, { ...carried, next: g.where(due, carried.next, carried.before) });
  }
  trained.forEach(({ attributes: { name } }, i) => {
    state.set(sumName(name), {
      before: sums[i]!,
      next: g.where(due, 0, grown[i]!),
      initial: zeros(weights.get(name)!),
    });
  });
  const initial = { dtype: 'float32', shape: [], data: new Float32Array(1) } as const;
  state.set(BATCHES, { before, next: g.where(due, 0, batches), initial });
  return { ...update, state };
}
