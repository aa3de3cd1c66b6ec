/** `GET|PUT /v1/experiments/:key` carry the schema of ../experiment.ts; here is the report on one. */
import { z } from 'zod';
import { Experiment } from '../experiment.ts';

/** An effect against control with its two-sided interval. */
export const Effect = z.object({
  absolute: z.number(),
  interval: z.tuple([z.number(), z.number()]),
  /** Share of the control's value; `null` when that cannot be told from 0. */
  relative: z.number().nullable(),
  /** By Fieller: leaves 0 out exactly where `interval` does. */
  relativeInterval: z.tuple([z.number(), z.number()]).nullable(),
  pValue: z.number(),
  /** The interval excludes 0. */
  significant: z.boolean(),
});
export type Effect = z.infer<typeof Effect>;

export const MetricReport = z.object({
  metric: z.string(),
  title: z.string(),
  /** How values are to be shown. */
  unit: z.enum(['count', 'ratio', 'micros', 'ms']),
  direction: z.enum(['increase', 'decrease', 'none']),
  arms: z.array(
    z.object({
      arm: z.string(),
      /** Sum of the numerator over the arm. */
      total: z.number(),
      /** Per unit for sums, numerator over denominator for ratios. */
      value: z.number().nullable(),
      standardError: z.number().nullable(),
      /** Against control; `null` for control itself and where there are fewer than two units. */
      effect: Effect.nullable(),
    }),
  ),
});
export type MetricReport = z.infer<typeof MetricReport>;

/**
 * How much a finding weighs. `alarm`: the effects are not to be read, and the verdict does not speak. `warning`: read them
 * with it in mind. `unknown`: too little to tell. Ordered from light to heavy.
 */
export const Severity = z.enum(['ok', 'unknown', 'warning', 'alarm']);
export type Severity = z.infer<typeof Severity>;

/** What one trust check found, in words that need no knowledge of the check. */
export const CheckFinding = z.object({
  /** Stable key of the check. */
  check: z.string(),
  title: z.string(),
  severity: Severity,
  /** What should be, what is, and what to do about it; the last is empty where nothing is to be done. */
  expected: z.string(),
  received: z.string(),
  action: z.string(),
  /** Chance of what came where all is well; `null` for checks that are no tests. */
  pValue: z.number().nullable(),
});
export type CheckFinding = z.infer<typeof CheckFinding>;

export const ExperimentReport = z
  .object({
    experiment: Experiment,
    /** Confidence of the intervals. */
    confidence: z.number(),
    from: z.string().nullable(),
    to: z.string().nullable(),
    arms: z.array(z.object({ arm: z.string(), units: z.int(), queries: z.int() })),
    excluded: z.object({ bots: z.int(), mixedUnits: z.int() }),
    metrics: z.array(MetricReport),
    checks: z.array(CheckFinding),
  })
  .meta({ id: 'ExperimentReport' });
export type ExperimentReport = z.infer<typeof ExperimentReport>;
