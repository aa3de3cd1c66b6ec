/**
 * Bots. Those that the edge marks are left out, and must be spread over the arms like everybody else: the arm is drawn before
 * anyone is known to be a bot. Those that it does not mark give themselves away by how much they search, where units are
 * visitors.
 */
import { type Check, printByArm, printP } from './check.ts';
import type { Evidence } from './evidence.ts';
import { ALPHA, sampleRatioPValue } from './sample-ratio.ts';

/** Queries of one unit on a UTC day that no person makes. */
export const HEAVY_QUERIES = 200;
/** Share of an arm's queries that comes from such units. */
const WARNING = 0.005;
const ALARM = 0.05;

export const automation: Check = {
  key: 'bots',
  title: 'Bots',
  find({ arms, automation, experiment: { kind, diversion = 'user' } }: Evidence) {
    if (automation.length === 0) return undefined;
    const areVisitors = kind !== 'switchback' && diversion === 'user';
    const rows = areVisitors ? automation : automation.map((row) => ({ ...row, heavyUnits: 0, heavyQueries: 0 }));
    const weightOf = new Map(arms.map(({ arm, weight }) => [arm, weight]));
    const pValue =
      sampleRatioPValue(rows.map(({ arm, botUnits }) => ({ arm, weight: weightOf.get(arm) ?? 0, units: botUnits }))) ??
      null;
    const uneven = pValue !== null && pValue < ALPHA;
    const share = ({ heavyQueries, queries }: (typeof rows)[number]) => (queries === 0 ? 0 : heavyQueries / queries);
    const shares = rows.map(share);
    const most = Math.max(...shares);
    // What one arm has more of than another is in the difference between them.
    const apart = most - Math.min(...shares);
    const severity = uneven || most >= ALARM || apart >= WARNING ? 'alarm' : most >= WARNING ? 'warning' : 'ok';
    const heavy = printByArm(rows, (arm) => `${arm.heavyUnits} (${(100 * share(arm)).toFixed(1)} % of its queries)`);
    return {
      severity,
      expected: `marked bots in the intended shares, and no unit with ${HEAVY_QUERIES} queries or more on a day`,
      received: `marked units ${printByArm(rows, ({ botUnits }) => String(botUnits))}${pValue === null ? '' : ` (${printP(pValue)})`}; unmarked units that search like machines: ${heavy}`,
      action:
        severity === 'ok'
          ? ''
          : uneven
            ? 'Do not read the metrics: an arm attracts bots or hides them from the edge.'
            : `${severity === 'alarm' ? 'Do not read the metrics' : 'Read the metrics with care'}: find these units in experiment_unit_days and have the edge mark them (edge/identity.ts).`,
      pValue,
    };
  },
};
