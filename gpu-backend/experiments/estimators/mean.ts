/** The mean per unit of an arm, from exact sums. */
import type { Estimate } from './estimate.ts';

export interface MeanSums {
  units: number;
  /** Sum of the units' values. */
  sum: bigint;
  /** Sum of their squares. */
  squares: bigint;
}

/** Mean and variance of the mean; `undefined` without units. Whole-number sums: nothing cancels and no order of events matters. */
export function meanPerUnit({ units, sum, squares }: MeanSums): Estimate | undefined {
  if (units === 0) return undefined;
  const n = BigInt(units);
  return {
    value: Number(sum) / units,
    variance: units < 2 ? undefined : Number(n * squares - sum * sum) / (units * units * (units - 1)),
    units,
  };
}
