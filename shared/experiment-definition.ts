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
  /** Arm that won: its parameters are part of everybody's plan from the step that says so. */
  shipped: Experiment.shape.key.optional(),
})
  .superRefine(({ shipped, status, arms }, context) => {
    if (shipped === undefined) return;
    const refuse = (message: string) => context.addIssue({ code: 'custom', path: ['shipped'], message });
    if (!arms.some(({ key }) => key === shipped))
      refuse(`expected one of ${arms.map(({ key }) => key).join(', ')}, got ${shipped}`);
    if (status !== 'stopped' && status !== 'archived')
      refuse(`expected an experiment that is stopped, got one that is ${status}`);
  })
  .meta({ id: 'ExperimentDefinition' });
export type ExperimentDefinition = z.infer<typeof ExperimentDefinition>;
