import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { followDays } from '../../../gpu-backend/catalogue/new-day.ts';

beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 15, 23, 59, 30) }));
afterEach(() => void vi.useRealTimers());

/** A database whose clock is behind by so much, with what it was asked. */
async function follow(behindMs: number) {
  let day = 14;
  const looks: [minute: string, forgotten: boolean][] = [];
  const failures: unknown[] = [];
  const state = { away: false, refreshed: 0 };
  const end = await followDays({
    async forget() {
      if (state.away) throw new Error('away');
      const today = new Date(Date.now() - behindMs).getUTCDate();
      looks.push([new Date().toISOString().slice(11, 19), today > day]);
      if (today === day) return false;
      day = today;
      return true;
    },
    onKillListChange: async () => void state.refreshed++,
    now: Date.now,
    onError: (error) => failures.push(error),
  });
  return { looks, failures, state, end };
}

test('days before are forgotten at the start, and at midnight to the second', async () => {
  const { looks, state, end } = await follow(0);
  expect([looks, state.refreshed]).toEqual([[['23:59:30', true]], 1]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect([looks.at(-1), state.refreshed]).toEqual([['00:00:00', true], 2]);
  end();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(looks).toHaveLength(2);
});

test('a database whose clock is behind is asked again within the minute', async () => {
  const { looks, state } = await follow(5_000);
  await vi.advanceTimersByTimeAsync(30_000);
  expect([looks.at(-1), state.refreshed]).toEqual([['00:00:00', false], 1]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([looks.at(-1), state.refreshed]).toEqual([['00:01:00', true], 2]);
});

test('a look that fails is told, and is not the last', async () => {
  const { looks, failures, state } = await follow(0);
  state.away = true;
  await vi.advanceTimersByTimeAsync(30_000);
  expect([failures.length, state.refreshed]).toEqual([1, 1]);
  state.away = false;
  await vi.advanceTimersByTimeAsync(60_000);
  expect([looks.at(-1), state.refreshed]).toEqual([['00:01:00', true], 2]);
});
