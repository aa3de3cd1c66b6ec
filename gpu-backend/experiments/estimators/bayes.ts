/**
 * What to believe of a relative effect, given what such changes did before: a normal prior, the estimate by the delta method
 * as its likelihood, and the normal posterior of both. The prior is part of the answer, since a posterior means nothing
 * without it.
 */
import normalCdf from '@stdlib/stats-base-dists-normal-cdf';
import normalQuantile from '@stdlib/stats-base-dists-normal-quantile';
import type { Posterior } from '../../../shared/contract/experiments.ts';
import { comparable, type Estimate } from './estimate.ts';

/** A normal distribution of the relative effect. */
export type Prior = Posterior['prior'];

/** Nothing is expected in either direction, and two changes in three stay within 5 %. */
export const DEFAULT_PRIOR: Prior = { mean: 0, standardDeviation: 0.05 };

/** `undefined` where there is nothing to infer from: the control is 0, or every unit of the treatment is, which leaves the ratio no variance. */
export function posterior(
  control: Estimate | undefined,
  treatment: Estimate | undefined,
  { confidence, prior = DEFAULT_PRIOR }: { confidence: number; prior?: Prior },
): Posterior | undefined {
  const arms: [Estimate | undefined, Estimate | undefined] = [control, treatment];
  if (!comparable(arms) || arms[0].value === 0) return undefined;
  const [c, t] = arms;
  const ratio = t.value / c.value;
  const variance = (t.variance + ratio ** 2 * c.variance) / c.value ** 2;
  if (variance === 0) return undefined;
  const precision = 1 / prior.standardDeviation ** 2 + 1 / variance;
  const mean = (prior.mean / prior.standardDeviation ** 2 + (ratio - 1) / variance) / precision;
  const standardDeviation = Math.sqrt(1 / precision);
  const margin = normalQuantile((1 + confidence) / 2, 0, 1) * standardDeviation;
  const z = mean / standardDeviation;
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  return {
    prior,
    mean,
    standardDeviation,
    interval: [mean - margin, mean + margin],
    chancePositive: normalCdf(z, 0, 1),
    expectedLoss: standardDeviation * (density - z * normalCdf(-z, 0, 1)),
  };
}
