/** Recovery: how much of the teacher's quality the student keeps, with an interval from a paired bootstrap over queries. */
import { METRICS, type Metric, mean } from './metrics.ts';

/** One query's metrics for both encoders. */
export interface Pair {
  readonly student: Readonly<Record<Metric, number>>;
  readonly teacher: Readonly<Record<Metric, number>>;
}

export interface Recovery {
  readonly queries: number;
  readonly teacher: Record<Metric, number>;
  readonly student: Record<Metric, number>;
  /** student / teacher. */
  readonly ratio: Record<Metric, number>;
  /** 95 % interval of the ratio: queries drawn with replacement, both encoders measured on the same draw. */
  readonly interval: Record<Metric, readonly [low: number, high: number]>;
}

const each = <T>(value: (metric: Metric) => T): Record<Metric, T> =>
  Object.fromEntries(METRICS.map((metric) => [metric, value(metric)])) as Record<Metric, T>;

const ratioOf = (student: number, teacher: number): number => (teacher === 0 ? Number.NaN : student / teacher);

/** @param random Uniform numbers; the same ones give the same interval. */
export function recovery(
  pairs: readonly Pair[],
  { samples, random }: { samples: number; random: () => number },
): Recovery {
  const n = pairs.length;
  const draws = each(() => new Float64Array(samples));
  for (let sample = 0; sample < samples; sample++) {
    const sums = each(() => [0, 0] as [number, number]);
    for (let i = 0; i < n; i++) {
      const { student, teacher } = pairs[Math.floor(random() * n)]!;
      for (const metric of METRICS) {
        sums[metric][0] += student[metric];
        sums[metric][1] += teacher[metric];
      }
    }
    for (const metric of METRICS) draws[metric][sample] = ratioOf(...sums[metric]);
  }
  const teacher = each((metric) => mean(pairs.map((pair) => pair.teacher[metric])));
  const student = each((metric) => mean(pairs.map((pair) => pair.student[metric])));
  return {
    queries: n,
    teacher,
    student,
    ratio: each((metric) => ratioOf(student[metric], teacher[metric])),
    interval: each((metric) => {
      const sorted = draws[metric].sort();
      const at = (share: number) => sorted[Math.min(samples - 1, Math.max(0, Math.round(share * (samples - 1))))]!;
      return [at(0.025), at(0.975)];
    }),
  };
}
