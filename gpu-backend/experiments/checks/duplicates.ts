/**
 * Events that say the same twice under different ids: a retry before the id was made, or a logger that runs twice. Under one
 * id an event counts once whatever happens (events/ingest.ts); these count twice.
 */
import { type Check, printByArm } from './check.ts';
import type { Evidence } from './evidence.ts';
import { totalsByArm } from './sample.ts';

/** Shares of all queries. */
const WARNING = 0.001;
const ALARM = 0.005;

export const duplicates: Check = {
  key: 'duplicates',
  title: 'Duplicates',
  find({ arms, sample }: Evidence) {
    if (sample.length === 0) return undefined;
    const rows = totalsByArm(arms, sample);
    const most = Math.max(...rows.map((row) => (row.queries === 0 ? 0 : row.duplicates / row.queries)));
    const severity = most >= ALARM ? 'alarm' : most >= WARNING ? 'warning' : 'ok';
    return {
      severity,
      expected: 'no two events of one visitor, query and millisecond',
      received: printByArm(rows, ({ queries, duplicates: n }) => `${n} of ${queries} queries`),
      action:
        severity === 'ok'
          ? ''
          : 'Do not count on sums: find the client or proxy that repeats requests, and let it send them once.',
      pValue: null,
    };
  },
};
