/**
 * `GET /v1/experiments/:key/report`: the report with what follows from it: verdicts, effects over time and by segment,
 * and the SQL.
 */
import * as z from 'zod';
import { Effect, ExperimentReport } from './experiments.ts';

/** What to do about an arm; `none` where the numbers are not to be trusted. */
export const Decision = z.enum(['ship', 'hold', 'roll_back', 'none']);
export type Decision = z.infer<typeof Decision>;

/** What is known of a metric that must not get worse. */
export const Guardrail = z.object({
  metric: z.string(),
  title: z.string(),
  /** Share of the control's value that may be lost. */
  margin: z.number(),
  /** `safe`: the loss is shown to be below the margin; `harmed`: above it; `open`: neither. */
  state: z.enum(['safe', 'open', 'harmed']),
  effect: Effect.nullable(),
});
export type Guardrail = z.infer<typeof Guardrail>;

export const Verdict = z.object({
  arm: z.string(),
  decision: Decision,
  /** The rule that fired. */
  rule: z.string(),
  /** The same in a sentence. */
  reason: z.string(),
  /** Key of the metric that the arm is judged by. */
  primary: z.string(),
  guardrails: z.array(Guardrail),
});
export type Verdict = z.infer<typeof Verdict>;

/** A look at the running effect, relative to control, with an interval that holds at all looks together. */
export const TrendPoint = z.object({
  /** Start of the step after which it was looked, UTC milliseconds. */
  atMs: z.number(),
  /** Units of both arms so far. */
  units: z.int(),
  relative: z.number(),
  interval: z.tuple([z.number(), z.number()]),
});
export type TrendPoint = z.infer<typeof TrendPoint>;

export const Trend = z.object({
  stepMs: z.number(),
  series: z.array(z.object({ metric: z.string(), arm: z.string(), points: z.array(TrendPoint) })),
});
export type Trend = z.infer<typeof Trend>;

/** An effect within one segment, of units told apart by their first query. */
export const SegmentEffect = z.object({
  dimension: z.string(),
  value: z.string(),
  arm: z.string(),
  metric: z.string(),
  /** Units of both arms. */
  units: z.int(),
  /** `null` where there are too few. */
  effect: Effect.nullable(),
  /** p-value for all segments of the metric and arm together (Holm). */
  adjustedPValue: z.number().nullable(),
});
export type SegmentEffect = z.infer<typeof SegmentEffect>;

/** Statements that the numbers came from, by the part of the report; verdicts and segments come from those of the metrics. */
export const ReportSql = z.object({
  metrics: z.array(z.string()),
  checks: z.array(z.string()),
  trend: z.array(z.string()),
});
export type ReportSql = z.infer<typeof ReportSql>;

export const DetailedReport = ExperimentReport.extend({
  verdicts: z.array(Verdict),
  /** Effects with intervals that hold however often they are looked at; by metric, then arm. */
  anytime: z.array(z.object({ metric: z.string(), arm: z.string(), effect: Effect.nullable() })),
  trend: Trend,
  segments: z.array(SegmentEffect),
  sql: ReportSql,
}).meta({ id: 'DetailedReport' });
export type DetailedReport = z.infer<typeof DetailedReport>;
