/**
 * Units with exposures to several arms: treated with both, so they are left out. A few come from definitions that were
 * changed while a page was open; many mean that the arms are no longer drawn by the unit.
 */
import type { Check } from './check.ts';
import type { Evidence } from './evidence.ts';

/** Shares of all units. */
const WARNING = 0.001;
const ALARM = 0.01;

export const mixedUnits: Check = {
  key: 'mixed_units',
  title: 'Units in several arms',
  find({ arms, mixedUnits: mixed }: Evidence) {
    const units = arms.reduce((sum, arm) => sum + arm.units, mixed);
    if (units === 0) return undefined;
    const share = mixed / units;
    const severity = share >= ALARM ? 'alarm' : share >= WARNING ? 'warning' : 'ok';
    return {
      severity,
      expected: `less than ${100 * WARNING} % of units`,
      received: `${mixed} of ${units} (${(100 * share).toFixed(2)} %), left out`,
      action:
        severity === 'ok'
          ? ''
          : 'Look at the audit log for weights, versions or arms that were changed while it ran: a changed experiment begins anew under a new key.',
      pValue: null,
    };
  },
};
