/** What every estimator gives for one arm, and what the comparison of arms takes. */
export interface Estimate {
  value: number;
  /** Of the estimate, not of a unit; `undefined` with fewer than two units. */
  variance: number | undefined;
  /** Independent units behind it. */
  units: number;
}

/** The estimate in another unit, such as revenue a thousand queries instead of one. */
export function scaled({ value, variance, units }: Estimate, factor: number): Estimate {
  return { value: value * factor, variance: variance === undefined ? undefined : variance * factor * factor, units };
}
