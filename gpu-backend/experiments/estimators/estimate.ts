/** What every estimator gives for one arm, and what the comparison of arms takes. */
export interface Estimate {
  value: number;
  /** Of the estimate, not of a unit; `undefined` with fewer than two units. */
  variance: number | undefined;
  /** Independent units behind it. */
  units: number;
  /** Degrees of freedom of the variance, as Student's t needs them: units - 1 unless given. */
  degrees?: number | undefined;
}

/** An estimate that says how sure it is. */
export interface Known extends Estimate {
  variance: number;
}

/** Whether both say how sure they are, and at least one of them can be wrong: without that there is nothing to infer. */
export function comparable(arms: [Estimate | undefined, Estimate | undefined]): arms is [Known, Known] {
  const [a, b] = arms;
  return a?.variance !== undefined && b?.variance !== undefined && a.variance + b.variance > 0;
}

/** The estimate in another unit, such as revenue a thousand queries instead of one. */
export function scaled({ value, variance, ...rest }: Estimate, factor: number): Estimate {
  return { ...rest, value: value * factor, variance: variance === undefined ? undefined : variance * factor * factor };
}
