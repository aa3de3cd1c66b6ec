/** All trust checks, in the order in which reports show them. A new one needs a line here only. */
import type { CheckFinding } from '../../../shared/contract/experiments.ts';
import type { Check } from './check.ts';
import type { Evidence } from './evidence.ts';
import { sampleRatio } from './sample-ratio.ts';

export const CHECKS: readonly Check[] = [sampleRatio];

/** The findings of all checks that apply. */
export function runChecks(evidence: Evidence): CheckFinding[] {
  return CHECKS.flatMap(({ key, title, find }) => {
    const found = find(evidence);
    return found === undefined ? [] : [{ check: key, title, ...found }];
  });
}
