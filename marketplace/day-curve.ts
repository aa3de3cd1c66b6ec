/** When people search: more in the evening than at night, a little more at the weekend, each market by its own clock. */

const HOUR_MS = 3_600_000;

/** Searches by hour of the local day, relative to each other. */
const BY_HOUR = [
  0.35, 0.22, 0.15, 0.12, 0.14, 0.22, 0.42, 0.68, 0.9, 1.05, 1.15, 1.2, 1.25, 1.22, 1.18, 1.2, 1.28, 1.38, 1.5, 1.68,
  1.8, 1.62, 1.1, 0.66,
];
/** By day of the local week, from Sunday. */
const BY_WEEKDAY = [1.12, 0.98, 0.94, 0.93, 0.95, 0.98, 1.1];
/** Hours ahead of UTC; the market keeps no summer time. */
const UTC_OFFSET_HOURS: Readonly<Record<string, number>> = { us: -6, gb: 0, au: 10 };

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const SCALE = mean(BY_HOUR) * mean(BY_WEEKDAY);

/** How much is searched in a market at an instant (UTC milliseconds), relative to its average of a week. */
export function activityAt(market: string, atMs: number): number {
  const local = new Date(atMs + (UTC_OFFSET_HOURS[market] ?? 0) * HOUR_MS);
  return (BY_HOUR[local.getUTCHours()]! * BY_WEEKDAY[local.getUTCDay()]!) / SCALE;
}

/** The most that {@link activityAt} gives. */
export const BUSIEST = (Math.max(...BY_HOUR) * Math.max(...BY_WEEKDAY)) / SCALE;
