/** What a trust check is: a pure function from the evidence to a finding in plain words. The list of them is checks.ts. */
import type { CheckFinding } from '../../../shared/contract/experiments.ts';
import type { Evidence } from './evidence.ts';

/** A finding without the name of the check that made it. */
export type Found = Omit<CheckFinding, 'check' | 'title'>;

export interface Check {
  /** Stable: alerts and pages refer to it. */
  key: string;
  title: string;
  /** `undefined` where the check does not apply to the experiment. */
  find(evidence: Evidence): Found | undefined;
}

/** A p-value as it is printed. */
export function printP(pValue: number): string {
  return pValue < 1e-300 ? 'p < 1e-300' : `p = ${pValue.toPrecision(2)}`;
}

/** Counts by arm as they are printed. */
export function printByArm<A extends { arm: string }>(arms: readonly A[], show: (arm: A) => string): string {
  return arms.map((arm) => `${arm.arm} ${show(arm)}`).join(', ');
}
