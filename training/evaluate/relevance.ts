/** Fits the maps to the probability of relevance (shared/{relevance,cosine-adapter}.ts) on labelled pairs: logistic regression by Newton's method. */
import type { CosineAdapter, QueryCosines } from '../../shared/cosine-adapter.ts';
import type { Evidence, RelevanceMap } from '../../shared/relevance.ts';

interface Labelled {
  readonly relevant: boolean;
}

/** A query and an ad, and whether a judge says that they fit. */
export type LabelledPair = Evidence & QueryCosines & Labelled;

const EVIDENCE = ['cosine', 'coverage', 'bestCoverage'] as const satisfies (keyof Evidence)[];
const COSINES = ['cosine', 'bestCosine', 'meanCosine', 'words'] as const satisfies ('cosine' | keyof QueryCosines)[];
const ROUNDS = 50;
/** Keeps the fit finite where the labels are separable, and a feature that never varies at 0. */
const RIDGE = 1e-6;

/** Solves the symmetric positive definite system `a x = b` by elimination; `a` and `b` are consumed. */
function solve(a: number[][], b: number[]): number[] {
  const n = b.length;
  for (let i = 0; i < n; i++) {
    for (let row = i + 1; row < n; row++) {
      const factor = a[row]![i]! / a[i]![i]!;
      for (let column = i; column < n; column++) a[row]![column]! -= factor * a[i]![column]!;
      b[row]! -= factor * b[i]!;
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let column = i + 1; column < n; column++) b[i]! -= a[i]![column]! * b[column]!;
    b[i]! /= a[i]![i]!;
  }
  return b;
}

/** The map of greatest likelihood, with Platt's smoothed labels. */
export const fitRelevance = (data: readonly (Evidence & Labelled)[]): RelevanceMap =>
  fitLogistic(data, EVIDENCE, ({ relevant }) => relevant);

/** The same from cosines alone. */
export const fitCosineAdapter = (
  data: readonly (Pick<Evidence, 'cosine'> & QueryCosines & Labelled)[],
): CosineAdapter => fitLogistic(data, COSINES, ({ relevant }) => relevant);

/** Weights and intercept of greatest likelihood for any features, with Platt's smoothed labels. */
export function fitLogistic<F extends string, D extends Readonly<Record<F, number>>>(
  data: readonly D[],
  features: readonly F[],
  isPositive: (item: D) => boolean,
): Record<F | 'intercept', number> {
  const positives = data.filter(isPositive).length;
  const yes = (positives + 1) / (positives + 2);
  const no = 1 / (data.length - positives + 2);
  // Centred features keep the weights nearly independent.
  const centres = features.map(
    (feature) => data.reduce((sum, item) => sum + item[feature], 0) / Math.max(1, data.length),
  );
  const size = features.length + 1;
  const weights = new Array<number>(size).fill(0);
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + Math.abs(value), 0);
  for (let round = 0; round < ROUNDS; round++) {
    const gradient = weights.map((weight) => RIDGE * weight);
    const hessian = weights.map((_, i) => weights.map((__, j) => (i === j ? RIDGE : 0)));
    for (const item of data) {
      const x = [...features.map((feature, i) => item[feature] - centres[i]!), 1];
      const p = 1 / (1 + Math.exp(-x.reduce((sum, value, i) => sum + value * weights[i]!, 0)));
      const error = p - (isPositive(item) ? yes : no);
      const spread = p * (1 - p);
      for (let i = 0; i < size; i++) {
        gradient[i]! += error * x[i]!;
        for (let j = 0; j < size; j++) hessian[i]![j]! += spread * x[i]! * x[j]!;
      }
    }
    const step = solve(hessian, gradient);
    for (let i = 0; i < size; i++) weights[i]! -= step[i]!;
    if (total(step) < 1e-10 * (1 + total(weights))) break;
  }
  const shift = centres.reduce((sum, centre, i) => sum + centre * weights[i]!, 0);
  const named = [...features.map((feature, i) => [feature, weights[i]!]), ['intercept', weights[size - 1]! - shift]];
  return Object.fromEntries(named) as Record<F | 'intercept', number>;
}
