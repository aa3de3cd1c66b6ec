/**
 * Systems compared on the same queries: ratios (recovery: how much of the teacher's quality a student keeps) and differences, with
 * intervals from a paired bootstrap over queries (Efron and Tibshirani, 1993; for retrieval Sakai, 2006).
 */
import { mean } from './metrics.ts';

/** Measures of each query by system; all systems in the same order of the same queries. */
export type Measured<System extends string, Measure extends string> = Readonly<
  Record<System, readonly Readonly<Record<Measure, number>>[]>
>;

/** 95 %. */
export type Interval = readonly [low: number, high: number];

/** A ratio or difference of two systems for each measure, and how sure it is. */
export type Estimate<Measure extends string> = Readonly<Record<Measure, number>> & {
  readonly interval: Readonly<Record<Measure, Interval>>;
};

export interface ResampleOptions<Measure extends string> {
  readonly measures: readonly Measure[];
  /** Resamples behind an interval. */
  readonly samples: number;
  /** Uniform in [0, 1); the same numbers give the same intervals. */
  readonly random: () => number;
}

/** What the same draws say of each pair of systems. */
export interface Comparison<System extends string, Measure extends string> {
  readonly queries: number;
  /** Means over the queries. */
  readonly scores: (system: System) => Readonly<Record<Measure, number>>;
  /** Mean of `a` / mean of `b`; NaN where `b` is 0. */
  readonly ratio: (a: System, b: System) => Estimate<Measure>;
  /** Mean of `a` - mean of `b`. */
  readonly difference: (a: System, b: System) => Estimate<Measure>;
}

/** The bounds of the middle 95 % of the draws. */
export function middle(draws: Float64Array): Interval {
  const sorted = draws.toSorted();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return [at(0.025), at(0.975)];
}

/** Draws queries with replacement, all systems measured on the same draw, and answers what is asked of them. */
export function compare<System extends string, Measure extends string>(
  measured: Measured<System, Measure>,
  { measures, samples, random }: ResampleOptions<Measure>,
): Comparison<System, Measure> {
  const systems = Object.keys(measured) as System[];
  const queries = systems.length === 0 ? 0 : measured[systems[0]!].length;
  const odd = systems.find((system) => measured[system].length !== queries);
  if (odd !== undefined) throw new Error(`${odd}: ${measured[odd].length} queries measured, others have ${queries}`);
  // One row of numbers a query, so that a draw reads memory in one place.
  const width = systems.length * measures.length;
  const rows = new Float64Array(queries * width);
  systems.forEach((system, s) => {
    measured[system].forEach((values, query) => {
      measures.forEach((measure, m) => {
        rows[query * width + s * measures.length + m] = values[measure];
      });
    });
  });
  const means = Array.from({ length: width }, () => new Float64Array(samples));
  const sums = new Float64Array(width);
  for (let sample = 0; sample < samples; sample++) {
    sums.fill(0);
    for (let i = 0; i < queries; i++) {
      const start = Math.floor(random() * queries) * width;
      for (let column = 0; column < width; column++) sums[column]! += rows[start + column]!;
    }
    for (let column = 0; column < width; column++) means[column]![sample] = sums[column]! / queries;
  }

  const each = <T>(value: (measure: Measure) => T): Record<Measure, T> =>
    Object.fromEntries(measures.map((measure) => [measure, value(measure)])) as Record<Measure, T>;
  const scores = (system: System) => each((measure) => mean(measured[system].map((values) => values[measure])));
  const drawn = (system: System, measure: Measure) =>
    means[systems.indexOf(system) * measures.length + measures.indexOf(measure)]!;
  const estimate = (a: System, b: System, of: (a: number, b: number) => number): Estimate<Measure> => {
    const [first, second] = [scores(a), scores(b)];
    return {
      ...each((measure) => of(first[measure], second[measure])),
      interval: each((measure) => {
        const against = drawn(b, measure);
        return middle(drawn(a, measure).map((value, sample) => of(value, against[sample]!)));
      }),
    };
  };
  return {
    queries,
    scores,
    ratio: (a, b) => estimate(a, b, (x, y) => (y === 0 ? Number.NaN : x / y)),
    difference: (a, b) => estimate(a, b, (x, y) => x - y),
  };
}
