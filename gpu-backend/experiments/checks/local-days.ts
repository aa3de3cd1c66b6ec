/**
 * Days as people live them: from midnight to midnight in an IANA time zone. Where clocks change, a day has 23 or 25 hours
 * (Lord Howe Island: 23.5 or 24.5), and some begin at one in the morning because there is no midnight.
 */
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface LocalDay {
  /** `YYYY-MM-DD` on the calendar of the zone. */
  day: string;
  /** Half-open span, UTC milliseconds. */
  fromMs: number;
  toMs: number;
  hours: number;
}

/** The days that the span [fromMs, toMs] touches, in order; throws `RangeError` for a zone that does not exist. */
export function localDays(fromMs: number, toMs: number, timeZone: string): LocalDay[] {
  const calendar = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  const dayAt = (ms: number) => calendar.format(ms);
  const days: LocalDay[] = [];
  for (let start = startOf(fromMs, dayAt); start <= toMs; ) {
    const end = nextDay(start, dayAt);
    days.push({ day: dayAt(start), fromMs: start, toMs: end, hours: (end - start) / HOUR_MS });
    start = end;
  }
  return days;
}

/** First millisecond of the day that holds `ms`. */
function startOf(ms: number, dayAt: (ms: number) => string): number {
  const day = dayAt(ms);
  // 26 hours reach into the day before, whose calendar date differs.
  return firstWhere(ms - 26 * HOUR_MS, ms, (at) => dayAt(at) === day);
}

/** First millisecond of the day after the one that begins at `start`. */
function nextDay(start: number, dayAt: (ms: number) => string): number {
  const day = dayAt(start);
  const usual = start + DAY_MS;
  // Looked for only where clocks change: one event by a clock that is wrong makes a span of a hundred years.
  if (dayAt(usual - 1) === day && dayAt(usual) !== day) return usual;
  return firstWhere(start, start + DAY_MS + 2 * HOUR_MS, (at) => dayAt(at) !== day);
}

/** The border between instants where `holds` is false and, after it, true. */
function firstWhere(low: number, high: number, holds: (ms: number) => boolean): number {
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
