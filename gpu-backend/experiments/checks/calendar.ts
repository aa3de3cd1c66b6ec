/**
 * The experiment's days, in its time zone: whether whole weeks were seen, because people search differently on
 * weekends, and which days have 23 or 25 hours, so that nobody takes the missing hour for an effect.
 */
import type { Check } from './check.ts';
import type { Evidence } from './evidence.ts';
import { localDays } from './local-days.ts';

const WEEK = 7;

export const calendar: Check = {
  key: 'calendar',
  title: 'Days',
  find({ experiment, fromMs, toMs }: Evidence) {
    if (fromMs === undefined || toMs === undefined) return undefined;
    const zone = experiment.timeZone ?? 'UTC';
    const days = localDays(fromMs, toMs, zone);
    const whole = days.filter((day) => day.fromMs >= fromMs && day.toMs - 1 <= toMs);
    const odd = days.filter(({ hours }) => hours !== 24);
    const rest = whole.length % WEEK;
    const received = `${whole.length} whole ${whole.length === 1 ? 'day' : 'days'} of ${zone}${
      odd.length === 0 ? '' : `; clocks change: ${odd.map(({ day, hours }) => `${day} has ${hours} hours`).join(', ')}`
    }`;
    const base = { expected: 'whole weeks', received, pValue: null };
    if (whole.length < WEEK)
      return { ...base, severity: 'unknown', action: 'Let it run a week before deciding: weekends differ.' };
    return {
      ...base,
      severity: 'ok',
      action: [
        rest === 0
          ? ''
          : `${rest} ${rest === 1 ? 'weekday has' : 'weekdays have'} more weight than the others; ${WEEK - rest} more would even that out.`,
        odd.length === 0 ? '' : 'Compare arms within these days, not these days with others.',
      ]
        .filter((part) => part !== '')
        .join(' '),
    };
  },
};
