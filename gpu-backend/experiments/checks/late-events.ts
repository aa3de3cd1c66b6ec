/**
 * What is final and what may still move. The watermark follows from the events alone, never from a clock, so that a
 * report does not depend on when it is made: what happened long enough before the newest query can no longer change.
 * Conversions count if they follow their click within the window; those that come later are late, and arms whose clicks
 * are younger have had less time to convert.
 */
import { type Check, printByArm } from './check.ts';
import type { Evidence } from './evidence.ts';
import { totalsByArm } from './sample.ts';
import { ALPHA, sampleRatioPValue } from './sample-ratio.ts';

const HOUR_MS = 3_600_000;
/** Time that delivery may take: the outbox waits out longer failures of the backend, and its ledger names what is missing. */
const DELIVERY_MS = HOUR_MS;
/** Time after its click in which a conversion is waited for. */
export const CONVERSION_MS = 7 * 24 * HOUR_MS;

/** Shares of conversions that come after the window. */
const WARNING = 0.01;
/** Difference between the arms' shares of clicks that may still convert. */
const UNEVEN = 0.05;

export interface Watermark {
  /** Queries and clicks before it are all there, UTC milliseconds. */
  queriesMs: number;
  /** So are the conversions of clicks before it. */
  conversionsMs: number;
}

/** What is final once the newest query is of `newestMs`. */
export function watermark(newestMs: number): Watermark {
  return { queriesMs: newestMs - DELIVERY_MS, conversionsMs: newestMs - DELIVERY_MS - CONVERSION_MS };
}

export const lateEvents: Check = {
  key: 'late_events',
  title: 'Late events',
  find({ arms, fromMs, toMs, sample }: Evidence) {
    if (fromMs === undefined || toMs === undefined) return undefined;
    const rows = totalsByArm(arms, sample).filter(({ clicks }) => clicks > 0);
    const conversions = rows.reduce((sum, row) => sum + row.conversions, 0);
    const late = rows.reduce((sum, row) => sum + row.lateConversions, 0);
    const open = rows.map((row) => row.openClicks / row.clicks);
    const byChance =
      sampleRatioPValue(rows.map(({ arm, clicks, openClicks }) => ({ arm, weight: clicks, units: openClicks }))) ?? 1;
    const uneven = byChance < ALPHA && Math.max(...open) - Math.min(...open) >= UNEVEN;
    const tooLate = conversions > 0 && late / conversions >= WARNING;
    const { queriesMs, conversionsMs } = watermark(toMs);
    const final = (ms: number) => (ms <= fromMs ? 'not yet' : `up to ${new Date(ms).toISOString().slice(0, 16)} UTC`);
    const stillOpen = printByArm(rows, ({ openClicks, clicks }) => `${((100 * openClicks) / clicks).toFixed(0)} %`);
    return {
      severity: tooLate || uneven ? 'warning' : 'ok',
      expected: `conversions within ${CONVERSION_MS / (24 * HOUR_MS)} days of their click, and arms of one age`,
      received: `queries and clicks final ${final(queriesMs)}, conversions ${final(conversionsMs)}; ${late} of ${conversions} conversions late; clicks that may still convert: ${stillOpen === '' ? 'none' : stillOpen}`,
      action: tooLate
        ? 'Conversions of finished days still grow: read conversion metrics only for days that lie further back.'
        : uneven
          ? 'Wait until the younger arm has had the time to convert before reading conversion metrics.'
          : '',
      pValue: null,
    };
  },
};
