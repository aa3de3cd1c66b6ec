import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Campaign } from '../../shared/contract/accounts.ts';
import { Candidate } from '../../shared/contract/retrieve.ts';
import { isOpen, opensWithin, Schedule } from '../../shared/schedule.ts';

const open = (schedule: Schedule, instant: string) => isOpen(schedule, Date.parse(instant));
const office = { days: [1, 2, 3, 4, 5], from: '09:00', to: '17:30' };

describe('a schedule', () => {
  test('runs from its first instant to its last, the last left out', () => {
    const schedule = { timeZone: 'UTC', startsAt: '2026-03-01T00:00:00Z', endsAt: '2026-03-02T01:00:00+01:00' };
    expect(open(schedule, '2026-02-28T23:59:59.999Z')).toBe(false);
    expect(open(schedule, '2026-03-01T00:00:00Z')).toBe(true);
    expect(open(schedule, '2026-03-01T23:59:59.999Z')).toBe(true);
    expect(open(schedule, '2026-03-02T00:00:00Z')).toBe(false);
  });

  test("keeps hours on its zone's clocks, winter and summer", () => {
    const schedule = { timeZone: 'Europe/London', hours: [office] };
    expect(open(schedule, '2026-01-12T08:59:59Z')).toBe(false);
    expect(open(schedule, '2026-01-12T09:00:00Z')).toBe(true);
    expect(open(schedule, '2026-01-12T17:30:00Z')).toBe(false);
    expect(open(schedule, '2026-07-13T08:00:00Z')).toBe(true); // 09:00 in summer
    expect(open(schedule, '2026-07-13T16:30:00Z')).toBe(false);
    expect(open(schedule, '2026-01-11T12:00:00Z')).toBe(false); // Sunday
    expect(open({ ...schedule, timeZone: 'Australia/Sydney' }, '2026-01-11T22:00:00Z')).toBe(true); // Monday there
  });

  test('is open in any of its windows', () => {
    const schedule = {
      timeZone: 'UTC',
      startsAt: '2026-01-12T00:00:00+00:00',
      hours: [
        { days: [1], from: '08:00', to: '10:00' },
        { days: [1, 2], from: '18:00', to: '20:00' },
      ],
    };
    expect(Schedule.parse(schedule)).toEqual(schedule);
    const openAt = ['09:00', '12:00', '19:00'].map((time) => open(schedule, `2026-01-12T${time}:00Z`));
    expect(openAt).toEqual([true, false, true]);
    expect(open(schedule, '2026-01-13T09:00:00Z')).toBe(false);
  });

  test('does not meet an hour that the clocks skip, and meets twice one that they repeat', () => {
    const early = { timeZone: 'Europe/Berlin', hours: [{ days: [7], from: '02:00', to: '03:00' }] };
    const minutes = (from: string) =>
      Array.from({ length: 6 * 60 }, (_, i) => isOpen(early, Date.parse(from) + i * 60_000)).filter(Boolean).length;
    expect(minutes('2026-03-22T00:00:00+01:00')).toBe(60);
    expect(minutes('2026-03-29T00:00:00+01:00')).toBe(0); // 02:00 is 03:00
    expect(minutes('2026-10-25T00:00:00+02:00')).toBe(120); // 03:00 is 02:00 again
    const night = { timeZone: 'Europe/Berlin', hours: [{ days: [6], from: '23:00', to: '04:00' }] };
    expect(open(night, '2026-03-29T01:59:00Z')).toBe(true); // 03:59 in summer
    expect(open(night, '2026-03-29T02:00:00Z')).toBe(false);
    expect(open(night, '2026-10-25T02:59:00Z')).toBe(true); // 03:59 in winter
    expect(open(night, '2026-10-25T03:00:00Z')).toBe(false);
  });

  test('goes past midnight into the next day, also over the end of the week, and all round the clock', () => {
    const late = { timeZone: 'UTC', hours: [{ days: [7], from: '22:00', to: '02:00' }] };
    expect(open(late, '2026-01-11T21:59:00Z')).toBe(false);
    expect(open(late, '2026-01-11T22:00:00Z')).toBe(true);
    expect(open(late, '2026-01-12T01:59:00Z')).toBe(true); // Monday
    expect(open(late, '2026-01-12T02:00:00Z')).toBe(false);
    expect(open(late, '2026-01-12T22:30:00Z')).toBe(false);
    const sunday = { timeZone: 'UTC', hours: [{ days: [7], from: '00:00', to: '24:00' }] };
    expect(open(sunday, '2026-01-11T00:00:00Z')).toBe(true);
    expect(open(sunday, '2026-01-11T23:59:59Z')).toBe(true);
    expect(open(sunday, '2026-01-12T00:00:00Z')).toBe(false);
    const after = { timeZone: 'UTC', hours: [{ days: [7], from: '24:00', to: '02:00' }] };
    expect(open(after, '2026-01-11T23:59:59Z')).toBe(false);
    expect(open(after, '2026-01-12T00:00:00Z')).toBe(true);
    const round = { timeZone: 'UTC', hours: [{ days: [7], from: '06:00', to: '06:00' }] };
    expect(open(round, '2026-01-11T05:59:00Z')).toBe(false);
    expect(open(round, '2026-01-12T05:59:00Z')).toBe(true);
  });

  test('runs soon when a window begins before the time is over', () => {
    const schedule = { timeZone: 'Europe/London', hours: [office] };
    const [early, hour] = [Date.parse('2026-01-12T08:01:00Z'), 3_600_000];
    expect(opensWithin(schedule, early, hour)).toBe(true);
    expect(opensWithin(schedule, early - 2 * 60_000, hour)).toBe(false);
    expect(opensWithin(schedule, Date.parse('2026-01-12T17:29:00Z'), hour)).toBe(true);
    expect(opensWithin(schedule, Date.parse('2026-01-12T17:30:00Z'), hour)).toBe(false);
  });

  test('of every hour of every day is always open, in every zone', () => {
    const zones = ['UTC', 'America/St_Johns', 'Asia/Kathmandu', 'Pacific/Apia', 'Europe/Berlin'];
    const instants = fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2030, 0) });
    fc.assert(
      fc.property(fc.constantFrom(...zones), instants, (timeZone, atMs) => {
        const week = [1, 2, 3, 4, 5, 6, 7];
        expect(isOpen({ timeZone, hours: [{ days: week, from: '00:00', to: '24:00' }] }, atMs)).toBe(true);
        const halves = [
          { days: week, from: '03:00', to: '15:00' },
          { days: week, from: '15:00', to: '03:00' },
        ].map((window) => isOpen({ timeZone, hours: [window] }, atMs));
        expect(halves.filter(Boolean)).toHaveLength(1);
      }),
    );
  });

  test('says the same hour and minute however often and in whatever order it is asked, in zones that differ by case alone too', () => {
    const atMs = Date.parse('2026-01-12T08:59:00Z');
    const at = (timeZone: string, minutes: number) =>
      isOpen({ timeZone, hours: [office] }, atMs + minutes * 60_000 + 59_999);
    const fresh = Array.from({ length: 40 }, (_, i) => [i, i >= 1] as const);
    for (const [minutes, isIn] of [...fresh, ...fresh.toReversed()]) {
      expect(at('Europe/London', minutes)).toBe(isIn);
      expect(at('europe/LONDON', minutes)).toBe(isIn);
      expect(at('Europe/Berlin', minutes)).toBe(true);
    }
  });

  test('asks a clock once a minute of a zone, however many ads have hours in it', () => {
    const asked = vi.spyOn(Intl.DateTimeFormat.prototype, 'formatToParts');
    onTestFinished(() => asked.mockRestore());
    const atMs = Date.parse('2026-02-01T12:00:00Z');
    for (let i = 0; i < 200; i++) isOpen({ timeZone: 'Asia/Kathmandu', hours: [office] }, atMs + (i % 4) * 15_000);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  test('in a zone that is not known here is closed in its hours, and no fault of the list that brings it', () => {
    const schedule = { timeZone: 'Mars/Olympus', hours: [{ days: [1, 2, 3, 4, 5, 6, 7], from: '00:00', to: '24:00' }] };
    expect(Candidate.shape.schedule.parse(schedule)).toEqual(schedule);
    expect(open(schedule, '2026-01-12T12:00:00Z')).toBe(false);
    expect(open({ timeZone: 'Mars/Olympus', endsAt: '2026-01-13T00:00:00Z' }, '2026-01-12T12:00:00Z')).toBe(true);
    const booked = { id: 'c', advertiserId: 'p', status: 'active' as const };
    expect(Campaign.safeParse({ ...booked, schedule: { ...schedule, timeZone: 'Europe/London' } }).success).toBe(true);
    expect(Campaign.safeParse({ ...booked, schedule }).error!.issues).toMatchObject([
      { path: ['schedule', 'timeZone'], message: expect.stringContaining('IANA') },
    ]);
  });

  test('is refused where nobody could keep it', () => {
    for (const bad of [
      { timeZone: 'UTC', hours: [{ days: [8], from: '00:00', to: '01:00' }] },
      { timeZone: 'UTC', hours: [{ days: [1], from: '24:30', to: '01:00' }] },
      { timeZone: 'UTC', startsAt: 'tomorrow' },
      { timeZone: 'UTC', endsAt: '2026-01-12T00:00:00' },
    ])
      expect(Schedule.safeParse(bad).success).toBe(false);
  });
});
