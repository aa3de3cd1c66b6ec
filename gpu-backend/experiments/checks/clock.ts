/**
 * Clocks. A click cannot come before its query, nor a conversion before its click; where they do, a clock is wrong. Totals do
 * not depend on times, but days do: what happened about midnight counts on the wrong one.
 */
import { type Check, printByArm } from './check.ts';
import type { Evidence } from './evidence.ts';
import { totalsByArm } from './sample.ts';

/** Share of clicks and conversions out of order. */
const WARNING = 0.001;

export const clock: Check = {
  key: 'clock',
  title: 'Clocks',
  find({ arms, sample }: Evidence) {
    const rows = totalsByArm(arms, sample);
    const events = rows.reduce((sum, row) => sum + row.clicks + row.conversions, 0);
    if (events === 0) return undefined;
    const early = rows.reduce((sum, row) => sum + row.earlyClicks + row.earlyConversions, 0);
    const ok = early / events < WARNING;
    return {
      severity: ok ? 'ok' : 'warning',
      expected: 'clicks after their query, conversions after their click',
      received: printByArm(
        rows,
        (row) =>
          `${row.earlyClicks} of ${row.clicks} clicks and ${row.earlyConversions} of ${row.conversions} conversions before it`,
      ),
      action: ok
        ? ''
        : 'Set the clocks of the machines that log these events. Sums hold; read nothing by day or hour until then.',
      pValue: null,
    };
  },
};
