/**
 * The mean of models that were trained from one starting point: as good as an ensemble of them at the price of one, and
 * closer to what all of them knew before (model soups, Wortsman et al., arXiv 2203.05482; WiSE-FT, arXiv 2109.01903).
 */
import type { Weights } from '../teacher/checkpoint.ts';

/** Mean of each weight over models of one shape, float32; a single model as it is. */
export function meanWeights(models: readonly Weights[]): Weights {
  const [first, ...others] = models;
  if (first === undefined) throw new Error('expected at least one model to average');
  if (others.length === 0) return first;
  return new Map(
    [...first].map(([name, tensor]) => {
      const all = [tensor, ...others.map((weights) => weights.get(name)!)];
      const data = Float32Array.from(
        { length: tensor.data.length },
        (_, i) => all.reduce((sum, one) => sum + Number(one.data[i]), 0) / all.length,
      );
      return [name, { ...tensor, data }];
    }),
  );
}
