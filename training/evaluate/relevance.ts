/** Fits the relevance map (shared/relevance.ts) on labelled pairs: logistic regression by Newton's method. */
import type { Evidence, RelevanceMap } from '../../shared/relevance.ts';

/** A query and an ad, and whether a judge says that they fit. */
export interface LabelledPair extends Evidence {
  readonly relevant: boolean;
}

const FEATURES = ['cosine', 'coverage', 'bestCoverage'] as const;
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
export function fitRelevance(data: readonly LabelledPair[]): RelevanceMap {
  const positives = data.filter(({ relevant }) => relevant).length;
  const yes = (positives + 1) / (positives + 2);
  const no = 1 / (data.length - positives + 2);
  // Centred features keep the weights nearly independent.
  const centres = FEATURES.map(
    (feature) => data.reduce((sum, pair) => sum + pair[feature], 0) / Math.max(1, data.length),
  );
  const size = FEATURES.length + 1;
  const weights = new Array<number>(size).fill(0);
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + Math.abs(value), 0);
  for (let round = 0; round < ROUNDS; round++) {
    const gradient = weights.map((weight) => RIDGE * weight);
    const hessian = weights.map((_, i) => weights.map((__, j) => (i === j ? RIDGE : 0)));
    for (const pair of data) {
      const x = [...FEATURES.map((feature, i) => pair[feature] - centres[i]!), 1];
      const p = 1 / (1 + Math.exp(-x.reduce((sum, value, i) => sum + value * weights[i]!, 0)));
      const error = p - (pair.relevant ? yes : no);
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
  const [cosine, coverage, bestCoverage, centred] = weights as [number, number, number, number];
  const shift = centres.reduce((sum, centre, i) => sum + centre * weights[i]!, 0);
  return { cosine, coverage, bestCoverage, intercept: centred - shift };
}
