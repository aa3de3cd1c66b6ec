/** `GET|PUT /v1/experiments/:key` carry the schema of ../experiment.ts; here is the report on one. */
import * as z from 'zod';
import { ExperimentDefinition } from '../experiment-definition.ts';

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

/** What to believe of a relative effect (0.01 is one per cent), given the prior that is stated with it. */
export const Posterior = z.object({
  /** Normal. */
  prior: z.object({ mean: z.number(), standardDeviation: z.number() }),
  mean: z.number(),
  standardDeviation: z.number(),
  /** Central credible interval. */
  interval: z.tuple([z.number(), z.number()]),
  /** Probability that the effect is above 0. */
  chancePositive: z.number(),
  /** Expected relative loss of keeping the treatment, if more is better. */
  expectedLoss: z.number(),
});
export type Posterior = z.infer<typeof Posterior>;

export const MetricReport = z.object({
  metric: z.string(),
  title: z.string(),
  /** Title of the arms' totals, where they are worth showing. */
  totalTitle: z.string().optional(),
  /** How values are to be shown. */
  unit: z.enum(['count', 'ratio', 'micros', 'ms']),
  direction: z.enum(['increase', 'decrease', 'none']),
  arms: z.array(
    z.object({
      arm: z.string(),
      /** Sum of the numerator over the arm; of a quantile, the units whose rows were read. */
      total: z.number(),
      /** Per unit for sums, numerator over denominator for ratios. */
      value: z.number().nullable(),
      standardError: z.number().nullable(),
      /** Against control; `null` for control itself and where there are fewer than two units. */
      effect: Effect.nullable(),
      /** The effect with less noise; absent where nothing is known to adjust by. */
      adjusted: z
        .object({
          /** What the units did before the experiment, or the market and device that they were first seen with. */
          by: z.enum(['before', 'strata']),
          effect: Effect,
          /** Valid at every look; `null` before there are enough units. */
          anytime: Effect.nullable(),
          /** Share of the variance that is left. */
          varianceShare: z.number(),
        })
        .optional(),
      posterior: Posterior.optional(),
      /** The effect's p-value when all judged metrics of the arm are read together. */
      together: z.object({ holm: z.number(), benjaminiHochberg: z.number() }).optional(),
    }),
  ),
});
export type MetricReport = z.infer<typeof MetricReport>;

/**
 * How much a finding weighs. `alarm`: the effects are not to be read, and the verdict does not speak. `warning`: read them
 * with it in mind. `unknown`: too little to tell. Ordered from light to heavy.
 */
const Severity = z.enum(['ok', 'unknown', 'warning', 'alarm']);

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

/** `GET /v1/experiments/:key/self-test`: stored units dealt again and again to arms that mean nothing. */
export const SelfTestResult = z
  .object({
    units: z.int(),
    /** Chance of a false find that is meant. */
    level: z.number(),
    metrics: z.array(
      z.object({
        metric: z.string(),
        /** Deals in which there was something to compare. */
        deals: z.int(),
        falsePositives: z.int(),
        rate: z.number().nullable(),
        /** The rate is within three standard errors of the level. */
        ok: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'SelfTestResult' });
export type SelfTestResult = z.infer<typeof SelfTestResult>;

/** Two plans on one page. The arms' metrics say nothing of them; these effects do, of treatment against control. */
export const InterleavingReport = z.object({
  units: z.int(),
  clicks: z.object({ control: z.int(), treatment: z.int() }),
  /** Treatment's share of the clicks, less a half; `null` where nothing can be inferred. */
  teamDraft: Effect.nullable(),
  /** Clicks a slot that was looked at; `null` where the log does not tell how slots are looked at. */
  debiased: Effect.nullable(),
  /** Chance that a position is looked at, relative to the first, from position 1 on. */
  examination: z.array(z.number()).nullable(),
});
export type InterleavingReport = z.infer<typeof InterleavingReport>;

/** Effects through the units that another arm would have treated otherwise, where the edge logged which those are. */
export const TriggeredReport = z.object({
  /** Of the units with a complete log, those with at least one query that another arm would have answered otherwise. */
  share: z.number(),
  arms: z.array(z.object({ arm: z.string(), triggered: z.int(), rest: z.int() })),
  effects: z.array(
    z.object({
      metric: z.string(),
      arm: z.string(),
      /** Among triggered units. */
      triggered: Effect.nullable(),
      /** On everybody: the rest is alike in all arms, and adds no noise. */
      diluted: Effect.nullable(),
    }),
  ),
});
export type TriggeredReport = z.infer<typeof TriggeredReport>;

export const ExperimentReport = z
  .object({
    experiment: ExperimentDefinition,
    /** Confidence of the intervals. */
    confidence: z.number(),
    from: z.string().nullable(),
    to: z.string().nullable(),
    arms: z.array(z.object({ arm: z.string(), units: z.int(), queries: z.int() })),
    excluded: z.object({ bots: z.int(), mixedUnits: z.int() }),
    metrics: z.array(MetricReport),
    checks: z.array(CheckFinding),
    /** Of an interleaving: whose ads people click. */
    interleaving: InterleavingReport.optional(),
    /** Of an experiment with a counterfactual log. */
    triggered: TriggeredReport.optional(),
  })
  .meta({ id: 'ExperimentReport' });
export type ExperimentReport = z.infer<typeof ExperimentReport>;
