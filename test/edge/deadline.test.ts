import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TIMED_OUT, within } from '../../edge/deadline.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it.each([0, 1, 25, 100])('waits %i ms and no longer', async (ms) => {
  let outcome: unknown;
  void within(new Promise(() => undefined), ms).then((what) => {
    outcome = what;
  });
  if (ms > 0) await vi.advanceTimersByTimeAsync(ms - 1);
  expect(outcome).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect([outcome, vi.getTimerCount()]).toEqual([TIMED_OUT, 0]);
});

it('takes what is there after a standstill for in time', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const waiting = within(promise, 100);
  // The timer that was due fires first, and what came meanwhile is read behind it.
  vi.advanceTimersByTime(1_000);
  resolve('answer');
  expect(await waiting).toBe('answer');
  expect(vi.getTimerCount()).toBe(0);
});
