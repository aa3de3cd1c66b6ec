/**
 * When a campaign runs: between two instants, and in weekly hours on the clocks of its time zone. Both sides judge by it:
 * the backend leaves out what will not run soon, the edge asks for every request, because candidate lists are cached.
 * Local time is that of the IANA database (Intl), so an hour that a clock change skips is not met and one it repeats is met twice.
 */
import * as z from 'zod';
import { isTimeZone } from './experiment.ts';

const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'expected HH:MM, 00:00 to 24:00');

export const Schedule = z.lazy(() =>
  z
    .strictObject({
      /** IANA name, for example Europe/London. */
      timeZone: z.string().refine(isTimeZone, { error: 'expected an IANA time zone such as Europe/London' }),
      /** First and last instant; absent: none. */
      startsAt: z.iso.datetime({ offset: true }).optional(),
      endsAt: z.iso.datetime({ offset: true }).optional(),
      /** Weekly windows, days by ISO (1 is Monday); one that ends no later than it begins goes on into the next day. Absent: always. */
      hours: z
        .array(z.strictObject({ days: z.array(z.int().min(1).max(7)).min(1).max(7), from: TimeOfDay, to: TimeOfDay }))
        .min(1)
        .max(50)
        .optional(),
    })
    .meta({ id: 'Schedule' }),
);
export type Schedule = z.infer<typeof Schedule>;

const DAY_MINUTES = 1_440;
const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
/** Making one costs as much as a thousand uses. */
const clocks = new Map<string, Intl.DateTimeFormat>();

/** Day (1 is Monday) and minute of the day on the zone's clocks. */
function localTime(timeZone: string, atMs: number): { day: number; minute: number } {
  let clock = clocks.get(timeZone);
  if (clock === undefined) {
    const parts = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
    clock = new Intl.DateTimeFormat('en-US', { timeZone, ...parts });
    clocks.set(timeZone, clock);
  }
  const parts = clock.formatToParts(atMs);
  const part = (type: string) => parts.find((one) => one.type === type)!.value;
  return { day: DAYS.indexOf(part('weekday')) + 1, minute: 60 * Number(part('hour')) + Number(part('minute')) };
}

const minuteOf = (time: string): number => 60 * Number(time.slice(0, 2)) + Number(time.slice(3));

/** Whether a campaign of this schedule runs at the instant; the last instant is not part of it. */
export function isOpen({ timeZone, startsAt, endsAt, hours }: Schedule, atMs: number): boolean {
  if (startsAt !== undefined && atMs < Date.parse(startsAt)) return false;
  if (endsAt !== undefined && atMs >= Date.parse(endsAt)) return false;
  if (hours === undefined) return true;
  const { day, minute } = localTime(timeZone, atMs);
  const yesterday = day === 1 ? 7 : day - 1;
  return hours.some(({ days, from, to }) => {
    const [begin, end] = [minuteOf(from), minuteOf(to)];
    const over = end <= begin ? end + DAY_MINUTES : end;
    return (
      (days.includes(day) && minute >= begin && minute < over) ||
      (days.includes(yesterday) && minute + DAY_MINUTES >= begin && minute + DAY_MINUTES < over)
    );
  });
}

/** Steps in which the near future is looked at: no window of a schedule is missed that lasts as long. */
const STEP_MS = 15 * 60_000;

/** Whether it runs at some time from the instant on for so long. */
export function opensWithin(schedule: Schedule, atMs: number, withinMs: number): boolean {
  for (let ahead = 0; ahead < withinMs; ahead += STEP_MS) if (isOpen(schedule, atMs + ahead)) return true;
  return isOpen(schedule, atMs + withinMs);
}
