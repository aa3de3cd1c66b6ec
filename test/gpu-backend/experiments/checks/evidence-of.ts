/** Evidence of an experiment of which nothing is known but its units, for tests to add to. */
import { CHECKS } from '../../../../gpu-backend/experiments/checks/checks.ts';
import type { Evidence, SampledUnit } from '../../../../gpu-backend/experiments/checks/evidence.ts';
import type { Experiment } from '../../../../shared/experiment.ts';

export function evidenceOf(
  experiment: Experiment,
  units: Record<string, number>,
  more: Partial<Evidence> = {},
): Evidence {
  return {
    experiment,
    arms: experiment.arms.map(({ key, weight }) => ({ arm: key, weight, units: units[key] ?? 0 })),
    fromMs: undefined,
    toMs: undefined,
    mixedUnits: 0,
    arrivals: [],
    segments: [],
    automation: [],
    loss: [],
    compared: [],
    sample: [],
    ...more,
  };
}

/** A sampled unit that did nothing, for tests to add to. */
export function sampled(arm: string, more: Partial<SampledUnit> = {}): SampledUnit {
  return {
    arm,
    queries: 0,
    hits: 0,
    ageMs: 0,
    duplicates: 0,
    clicks: 0,
    earlyClicks: 0,
    earlyConversions: 0,
    conversions: 0,
    lateConversions: 0,
    openClicks: 0,
    leaks: 0,
    ...more,
  };
}

/** What the check of a key finds. */
export function find(key: string, evidence: Evidence) {
  return CHECKS.find((check) => check.key === key)!.find(evidence);
}
