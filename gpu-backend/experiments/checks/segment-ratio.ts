/**
 * Where a sample ratio is off: the test of sample-ratio.ts within each market, device, edge location, cache status and consent
 * of the units' first query, at a level that all of them share (Fabijan et al., KDD 2019: a segment names the cause). The cache
 * status follows from an arm's own plan, so it is tested only where all arms have the same one.
 */
import { canonicalJson } from '../../../shared/digest.ts';
import type { Experiment } from '../../../shared/experiment.ts';
import type { Dimension } from '../strata.ts';
import { type Check, printByArm, printP } from './check.ts';
import type { Evidence, Segment } from './evidence.ts';
import { ALPHA, sampleRatioPValue } from './sample-ratio.ts';

const NAMES: Record<Dimension, string> = {
  market: 'market',
  device: 'device',
  colo: 'edge location',
  cache: 'cache status',
  consent: 'consent',
};
/** Segments that a finding names. */
const MOST_NAMED = 3;

export const segmentRatio: Check = {
  key: 'sample_ratio_segments',
  title: 'Sample ratio by segment',
  find({ experiment, arms, segments }: Evidence) {
    const alike = samePlans(experiment);
    const tested = segments.flatMap((segment) => {
      const counts = arms.map(({ arm, weight }) => ({ arm, weight, units: segment.units[arm] ?? 0 }));
      const pValue = segment.dimension === 'cache' && !alike ? undefined : sampleRatioPValue(counts);
      return pValue === undefined ? [] : [{ segment, counts, pValue }];
    });
    if (tested.length === 0) return undefined;
    const worst = tested.toSorted((a, b) => a.pValue - b.pValue);
    const off = worst.filter(({ pValue }) => pValue * tested.length < ALPHA);
    const pValue = Math.min(1, worst[0]!.pValue * tested.length);
    const expected = `the intended shares in each of ${tested.length} segments`;
    if (off.length === 0)
      return {
        severity: 'ok',
        expected,
        received: `none off (smallest ${printP(pValue)} after correction)`,
        action: '',
        pValue,
      };
    const named = off
      .slice(0, MOST_NAMED)
      .map(
        ({ segment, counts, pValue: p }) =>
          `${nameOf(segment)}: ${printByArm(counts, (arm) => String(arm.units))} (${printP(p)})`,
      );
    return {
      severity: 'alarm',
      expected,
      received: `${off.length} off: ${named.join('; ')}${off.length > MOST_NAMED ? '; and more' : ''}`,
      action: `Do not read the metrics: look for what differs between the arms in ${off.length > MOST_NAMED ? 'these segments' : off.map(({ segment }) => nameOf(segment)).join(' and ')}.`,
      pValue,
    };
  },
};

const nameOf = ({ dimension, value }: Segment) => `${NAMES[dimension]} ${value}`;

/** Whether the arms change nothing that an answer depends on: an A/A test. */
function samePlans({ arms }: Experiment): boolean {
  return new Set(arms.map(({ parameters }) => canonicalJson(parameters))).size === 1;
}
