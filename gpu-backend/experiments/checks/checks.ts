/** All trust checks, in the order in which reports show them. A new one needs a line here only. */
import type { CheckFinding } from '../../../shared/contract/experiments.ts';
import { automation } from './automation.ts';
import { cacheBias } from './cache-bias.ts';
import { calendar } from './calendar.ts';
import type { Check } from './check.ts';
import { clock } from './clock.ts';
import { duplicates } from './duplicates.ts';
import { eventLoss } from './event-loss.ts';
import type { Evidence } from './evidence.ts';
import { holdout } from './holdout.ts';
import { lateEvents } from './late-events.ts';
import { mixedUnits } from './mixed-units.ts';
import { sampleRatio } from './sample-ratio.ts';
import { segmentRatio } from './segment-ratio.ts';
import { sequentialRatio } from './sequential-ratio.ts';
import { triggeredRatio } from './triggered-ratio.ts';

export const CHECKS: readonly Check[] = [
  sampleRatio,
  sequentialRatio,
  segmentRatio,
  triggeredRatio,
  eventLoss,
  automation,
  mixedUnits,
  duplicates,
  clock,
  lateEvents,
  calendar,
  cacheBias,
  holdout,
];

/** The findings of all checks that apply. */
export function runChecks(evidence: Evidence): CheckFinding[] {
  return CHECKS.flatMap(({ key, title, find }) => {
    const found = find(evidence);
    return found === undefined ? [] : [{ check: key, title, ...found }];
  });
}
