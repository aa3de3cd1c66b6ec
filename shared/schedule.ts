/**
 * When a campaign runs: between two instants, and in weekly hours on the clocks of its time zone. Both sides judge by it:
 * the backend leaves out what will not run soon, the edge asks for every request, because candidate lists are cached.
 * Local time is that of the IANA database (Intl), so an hour that a clock change skips is not met and one it repeats is met twice.
 */
import * as z from 'zod';

const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'expected HH:MM, 00:00 to 24:00');

export const Schedule = z.lazy(() =>
  z
    .strictObject({
      /** IANA name, for example Europe/London; checked where it is booked. */
      timeZone: z.string(),
      /** First and last instant; absent: none. */
      startsAt: z.iso.datetime({ offset: true }).optional(),
      endsAt: z.iso.datetime({ offset: true }).optional(),
      /**
       * Weekly windows, days by ISO (1 is Monday); one that ends no later than it begins continues into the next day.
       * Absent: always.
       */
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
const MINUTE_MS = 60_000;
const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
/** Minutes that are remembered of a zone: more than are asked about at once. */
const REMEMBERED = 16;

/** Day (1 is Monday) and minute of the day on a zone's clocks. */
interface LocalTime {
  day: number;
  minute: number;
}

interface Zone {
  /** Making one costs as much as a thousand uses; `undefined` where this runtime does not know the zone. */
  clock: Intl.DateTimeFormat | undefined;
  /** Its answers, by minute since 1970: a use costs as much as a hundred look-ups, and zones differ by whole minutes. */
  said: Map<number, LocalTime>;
}
/** By lower-case name, so that they are no more than there are zones. */
const zones = new Map<string, Zone>();

function clockOf(timeZone: string): Zone['clock'] {
  const parts = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone, ...parts });
  } catch {
    return undefined;
  }
}

/** Whether the name is one of the IANA database, as this runtime has it. */
export const isTimeZone = (name: string): boolean => clockOf(name) !== undefined;

function localTime(timeZone: string, atMs: number): LocalTime | undefined {
  const name = timeZone.toLowerCase();
  let zone = zones.get(name);
  if (zone === undefined) {
    zone = { clock: clockOf(timeZone), said: new Map() };
    zones.set(name, zone);
  }
  if (zone.clock === undefined) return undefined;
  const at = Math.floor(atMs / MINUTE_MS);
  const known = zone.said.get(at);
  if (known !== undefined) return known;
  const parts = zone.clock.formatToParts(atMs);
  const part = (type: string) => parts.find((one) => one.type === type)!.value;
  const local = { day: DAYS.indexOf(part('weekday')) + 1, minute: 60 * Number(part('hour')) + Number(part('minute')) };
  if (zone.said.size >= REMEMBERED) zone.said.clear();
  zone.said.set(at, local);
  return local;
}

const minuteOf = (time: string): number => 60 * Number(time.slice(0, 2)) + Number(time.slice(3));

/**
 * Whether a campaign of this schedule runs at the instant; the last instant is not part of it. Hours in a zone that
 * this runtime does not know, because the one where they were booked is newer, are never met.
 */
export function isOpen({ timeZone, startsAt, endsAt, hours }: Schedule, atMs: number): boolean {
  if (startsAt !== undefined && atMs < Date.parse(startsAt)) return false;
  if (endsAt !== undefined && atMs >= Date.parse(endsAt)) return false;
  if (hours === undefined) return true;
  const local = localTime(timeZone, atMs);
  if (local === undefined) return false;
  const { day, minute } = local;
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

/** Steps in which the near future is looked at: no window that lasts as long is missed. */
const STEP_MS = 15 * MINUTE_MS;

/** Whether it runs at some time from the instant on for so long. */
export function opensWithin(schedule: Schedule, atMs: number, withinMs: number): boolean {
  for (let ahead = 0; ahead < withinMs; ahead += STEP_MS) if (isOpen(schedule, atMs + ahead)) return true;
  return isOpen(schedule, atMs + withinMs);
}
