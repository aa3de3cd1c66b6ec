/** A holdout is compared with the rest of the traffic; that means something only if nothing reached it. */
import { type Check, printByArm } from './check.ts';
import type { Evidence } from './evidence.ts';
import { totalsByArm } from './sample.ts';

export const holdout: Check = {
  key: 'holdout',
  title: 'Holdout',
  find({ experiment, arms, sample }: Evidence) {
    const held = new Set(experiment.arms.filter((arm) => arm.holdout !== undefined).map(({ key }) => key));
    if (held.size === 0 || sample.length === 0) return undefined;
    const rows = totalsByArm(arms, sample).filter(({ arm }) => held.has(arm));
    const leaks = rows.reduce((sum, { leaks: n }) => sum + n, 0);
    return {
      severity: leaks === 0 ? 'ok' : 'alarm',
      expected: 'no query of a held-out unit in another experiment that it is held out of',
      received: printByArm(rows, (row) => `${row.leaks} of ${row.queries} queries`),
      action: leaks === 0 ? '' : 'The comparison says nothing: find out which experiment reaches the holdout.',
      pValue: null,
    };
  },
};
