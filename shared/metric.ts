/**
 * What an experiment is judged by, as data: a measure of a unit, the ratio of two, or a quantile of rows. Metrics that all
 * experiments have are in gpu-backend/experiments/metrics.json, others come with an experiment; none needs code.
 */
import * as z from 'zod';

/** What is summed over a unit's rows (gpu-backend/experiments/measures.ts says how). */
export const MeasureName = z.enum([
  'queries',
  'covered',
  'shown',
  'clicks',
  'revenue',
  'conversions',
  'conversionValue',
  'cached',
  'judged',
  'defects',
]);
export type MeasureName = z.infer<typeof MeasureName>;

const BASE = {
  key: z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, 'expected lower-case letters, digits and underscores, at most 64'),
  title: z.string().min(1).max(100),
  /** How values are to be shown. */
  unit: z.enum(['count', 'ratio', 'micros', 'ms']),
  /** Which way is better. */
  direction: z.enum(['increase', 'decrease', 'none']),
};

export const SumMetric = z.strictObject({
  ...BASE,
  /** Absent: a sum. */
  kind: z.literal('sum').optional(),
  /** Title of the arm's sum, where reports show that too. */
  totalTitle: z.string().min(1).max(100).optional(),
  numerator: MeasureName,
  /** Absent: the metric is the mean of the numerator over units. */
  denominator: MeasureName.optional(),
  /** The value is multiplied by it, for shares shown per thousand. */
  scale: z.number().positive().optional(),
  /** Only queries of so many UTC days from the unit's first on count, with their clicks and conversions, however late. */
  windowDays: z.int().min(1).max(365).optional(),
  /** A unit's numerator counts up to this quantile of all units' numerators, one threshold for all arms. */
  capQuantile: z.number().min(0.5).lt(1).optional(),
});
export type SumMetric = z.infer<typeof SumMetric>;

/** A quantile of the times of answered queries, from the rows of a sample of units. */
export const QuantileMetric = z.strictObject({
  ...BASE,
  kind: z.literal('quantile'),
  of: z.enum(['totalMs', 'backendMs', 'encodeMs', 'searchMs']),
  quantile: z.number().min(0.01).max(0.999),
});
export type QuantileMetric = z.infer<typeof QuantileMetric>;

export const Metric = z.discriminatedUnion('kind', [SumMetric, QuantileMetric]);
export type Metric = z.infer<typeof Metric>;

/** Whether the metric is made of sums over units, which all but quantiles are. */
export const isSum = (metric: Metric): metric is SumMetric => metric.kind !== 'quantile';

/** What an arm is judged by. */
export const DecisionRules = z.strictObject({
  /** The metric that has to get better; one of sums over units, as are the guardrails. */
  primary: z.string(),
  /** Metrics that an arm must not lose, by more than a share of the control's value. */
  guardrails: z.array(z.strictObject({ metric: z.string(), margin: z.number().min(0).max(1) })).max(20),
  /** Chance of a wrong claim that the intervals leave, in every metric; 0.05 unless given. */
  alpha: z.number().min(0.0001).max(0.5).optional(),
});
export type DecisionRules = z.infer<typeof DecisionRules>;

/** Metrics with distinct keys. */
export const Metrics = z
  .array(Metric)
  .max(100)
  .refine((metrics) => new Set(metrics.map(({ key }) => key)).size === metrics.length, {
    message: 'expected distinct metric keys',
  });
