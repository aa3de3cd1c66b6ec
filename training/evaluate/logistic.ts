/**
 * A logistic map from evidence (cosine and lexical coverage) to the probability of relevance (Platt, 1999), fitted by Newton's
 * method on labelled pairs.
 */

export interface Logistic {
  readonly slope: number;
  readonly coverage: number;
  readonly intercept: number;
}

export interface LabelledPair {
  readonly cosine: number;
  /** shared/coverage.ts, 0 to 1. */
  readonly coverage: number;
  readonly relevant: boolean;
}

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

/** p = 1 / (1 + exp(-(slope cosine + coverage weight + intercept))) of greatest likelihood, with Platt's smoothed labels. */
export function fitLogistic(data: readonly LabelledPair[]): Logistic {
  const positives = data.filter(({ relevant }) => relevant).length;
  const yes = (positives + 1) / (positives + 2);
  const no = 1 / (data.length - positives + 2);
  // Centred features keep the coefficients nearly independent.
  const average = (value: (pair: LabelledPair) => number) =>
    data.reduce((sum, pair) => sum + value(pair), 0) / Math.max(1, data.length);
  const centre = [average(({ cosine }) => cosine), average(({ coverage }) => coverage)] as const;

  const weights = [0, 0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const gradient = weights.map((weight) => RIDGE * weight);
    const hessian = weights.map((_, i) => weights.map((__, j) => (i === j ? RIDGE : 0)));
    for (const { cosine, coverage, relevant } of data) {
      const x = [cosine - centre[0], coverage - centre[1], 1];
      const p = 1 / (1 + Math.exp(-(weights[0]! * x[0]! + weights[1]! * x[1]! + weights[2]!)));
      const error = p - (relevant ? yes : no);
      const spread = p * (1 - p);
      for (let i = 0; i < 3; i++) {
        gradient[i]! += error * x[i]!;
        for (let j = 0; j < 3; j++) hessian[i]![j]! += spread * x[i]! * x[j]!;
      }
    }
    const step = solve(hessian, gradient);
    for (let i = 0; i < 3; i++) weights[i]! -= step[i]!;
    const size = (values: readonly number[]) => values.reduce((sum, value) => sum + Math.abs(value), 0);
    if (size(step) < 1e-10 * (1 + size(weights))) break;
  }
  const [slope, coverage, intercept] = weights as [number, number, number];
  return { slope, coverage, intercept: intercept - slope * centre[0] - coverage * centre[1] };
}
