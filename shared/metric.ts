/**
 * What an experiment is judged by, as data: a measure of a unit, the ratio of two, or a quantile of rows. Metrics that all
 * experiments have are in gpu-backend/experiments/metrics.json, others come with an experiment; none needs code.
 */
import { z } from 'zod';

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

export const Metric = SumMetric;
export type Metric = SumMetric;

/** Metrics with distinct keys. */
export const Metrics = z
  .array(Metric)
  .max(100)
  .refine((metrics) => new Set(metrics.map(({ key }) => key)).size === metrics.length, {
    message: 'expected distinct metric keys',
  });
