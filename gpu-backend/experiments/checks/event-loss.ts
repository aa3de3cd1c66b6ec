/**
 * Are events lost, and more of them in one arm? The edge writes down every id that it issues, with its arms; what is in no
 * table after delivery has had its time is missing (edge/outbox, events/missing.ts). Loss that is equal in all arms costs
 * precision; loss that is not moves the effect.
 */
import { type Check, printByArm, printP } from './check.ts';
import type { Evidence } from './evidence.ts';
import { ALPHA, sampleRatioPValue } from './sample-ratio.ts';

/** Shares of all exposures that are missing. */
const WARNING = 0.001;
const ALARM = 0.01;

export const eventLoss: Check = {
  key: 'event_loss',
  title: 'Event loss',
  find({ loss }: Evidence) {
    const issued = loss.map(({ arm, stored, missing }) => ({ arm, issued: stored + missing, missing }));
    const all = issued.reduce((sum, arm) => sum + arm.issued, 0);
    if (all === 0) return undefined;
    const missing = issued.reduce((sum, arm) => sum + arm.missing, 0);
    // Given how many are missing, equal loss deals them to the arms in proportion to what was issued.
    const pValue =
      sampleRatioPValue(issued.map((arm) => ({ arm: arm.arm, weight: arm.issued, units: arm.missing }))) ?? null;
    const unequal = pValue !== null && pValue < ALPHA;
    const share = missing / all;
    const rates = printByArm(issued, (arm) =>
      arm.issued === 0
        ? 'none issued'
        : `${((100 * arm.missing) / arm.issued).toFixed(2)} % (${arm.missing} of ${arm.issued})`,
    );
    return {
      severity: unequal || share >= ALARM ? 'alarm' : share >= WARNING ? 'warning' : 'ok',
      expected: `less than ${100 * WARNING} % lost, alike in all arms`,
      received: `lost: ${rates}${pValue === null ? '' : `, ${printP(pValue)} for equal loss`}`,
      action: unequal
        ? 'Do not read the metrics: events of one arm get lost. `npm run reconcile` names them.'
        : share >= WARNING
          ? 'Find out where events get lost: `npm run reconcile` names them, the outbox says what waits.'
          : '',
      pValue,
    };
  },
};
