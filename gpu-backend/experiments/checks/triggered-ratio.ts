/**
 * Whether the counterfactual log treats the arms alike: which queries are triggered follows from both plans, so that triggered
 * units, and those that never were, must come in the intended shares. An arm that makes people search more often, or whose
 * log has gaps, breaks that, and with it the triggered and diluted effects, but no other number.
 */
import { type Check, printByArm, printP } from './check.ts';
import type { Compared, Evidence } from './evidence.ts';
import { ALPHA, sampleRatioPValue } from './sample-ratio.ts';

export const triggeredRatio: Check = {
  key: 'sample_ratio_triggered',
  title: 'Sample ratio of triggered units',
  find({ arms, compared }: Evidence) {
    const pValueOf = (units: (of: Compared) => number) =>
      sampleRatioPValue(
        compared.map((each) => ({
          arm: each.arm,
          weight: arms.find(({ arm }) => arm === each.arm)!.weight,
          units: units(each),
        })),
      );
    const pValues = [pValueOf(({ triggered }) => triggered), pValueOf(({ rest }) => rest)].filter(
      (p) => p !== undefined,
    );
    if (pValues.length === 0) return undefined;
    const pValue = Math.min(1, Math.min(...pValues) * pValues.length);
    const ok = pValue >= ALPHA;
    return {
      severity: ok ? 'ok' : 'warning',
      expected: 'the intended shares of units that were triggered, and of those that were not',
      received: `triggered ${printByArm(compared, ({ triggered }) => String(triggered))}; not ${printByArm(compared, ({ rest }) => String(rest))} (${printP(pValue)})`,
      action: ok
        ? ''
        : 'Do not read the triggered and diluted effects: an arm changes how often its units are triggered, or loses some of the log. The other effects hold.',
      pValue,
    };
  },
};
