import { expect, it } from 'vitest';
import { startPeriodic } from '../../gpu-backend/periodic.ts';

it('runs one at a time, goes on after a failure, and ends when the run under way is done', async () => {
  const errors: unknown[] = [];
  const third = Promise.withResolvers<void>();
  const mayEnd = Promise.withResolvers<void>();
  let [runs, under, aborted] = [0, 0, false];
  const end = startPeriodic({
    everyMs: 0,
    async work(signal) {
      expect(++under).toBe(1);
      try {
        if (++runs === 2) throw new Error('the second');
        if (runs < 3) return;
        third.resolve();
        await mayEnd.promise;
        aborted = signal.aborted;
      } finally {
        under--;
      }
    },
    onError: (error) => errors.push(error),
  });
  await third.promise;
  const ended = end();
  mayEnd.resolve();
  await ended;
  expect({ runs, aborted, errors }).toEqual({ runs: 3, aborted: true, errors: [new Error('the second')] });
});
