/**
 * An experiment as it is written, stored and read by reports: with what it is judged by, which nobody needs in order to serve
 * it (experiment.ts).
 */
import type * as z from 'zod';
import { Experiment } from './experiment.ts';
import { DecisionRules, Metrics } from './metric.ts';
import { isTimeZone } from './schedule.ts';

export const ExperimentDefinition = Experiment.safeExtend({
  timeZone: Experiment.shape.timeZone.refine((name) => name === undefined || isTimeZone(name), {
    error: 'expected an IANA time zone such as Europe/Berlin',
  }),
  /** Metrics of its own, beside those that every report has. */
  metrics: Metrics.optional(),
  /** What its arms are judged by, instead of the rules of all. */
  rules: DecisionRules.optional(),
}).meta({ id: 'ExperimentDefinition' });
export type ExperimentDefinition = z.infer<typeof ExperimentDefinition>;
