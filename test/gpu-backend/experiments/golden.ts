/** Reference values from scipy and statsmodels (bench/peers/experiments.py), and how closely they are to be met. */
import { expect } from 'vitest';
import golden from '../../golden/statistics.json' with { type: 'json' };

export { golden };

/** Equal to a relative error of 1e-6, whatever the magnitude. */
export function expectClose(actual: number | null | undefined, expected: number, what = ''): void {
  expect(actual, what).toSatisfy(
    (value: unknown) => typeof value === 'number' && Math.abs(value - expected) <= 1e-6 * Math.abs(expected) + 1e-300,
    `expected ${actual} to be ${expected}`,
  );
}

/** Exact sums over the units of an arm. */
export function meanSums(values: readonly number[]) {
  const all = values.map(BigInt);
  return {
    units: all.length,
    sum: all.reduce((sum, v) => sum + v, 0n),
    squares: all.reduce((sum, v) => sum + v * v, 0n),
  };
}

/** Exact sums over the units' pairs of numerator and denominator. */
export function ratioSums(ys: readonly number[], xs: readonly number[]) {
  const y = ys.map(BigInt);
  const x = xs.map(BigInt);
  const dot = (a: bigint[], b: bigint[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0n);
  return {
    units: y.length,
    y: y.reduce((sum, v) => sum + v, 0n),
    x: x.reduce((sum, v) => sum + v, 0n),
    yy: dot(y, y),
    xy: dot(x, y),
    xx: dot(x, x),
  };
}
