import { expect, test } from 'vitest';
import { onSchedule } from '../../bench/edge/load.ts';

test('an open load starts what is due without waiting for what was started before, each once, evenly spread', async () => {
  const total = 40;
  const dues: number[] = [];
  const early: number[] = [];
  const { promise: last, resolve } = Promise.withResolvers<void>();
  await onSchedule({ rate: 1_000, seconds: total / 1_000 }, (index, dueAt) => {
    expect(index).toBe(dues.length);
    if (performance.now() < dueAt) early.push(index);
    dues.push(dueAt);
    if (dues.length === total) resolve();
    // Nothing ends before the last has begun: a closed loop would wait for ever.
    return last;
  });
  expect(early).toEqual([]);
  expect(dues.map((due) => Math.round(due - dues[0]!))).toEqual(Array.from({ length: total }, (_, i) => i));
});

test('a request that fails ends the load', async () => {
  const load = onSchedule({ rate: 1_000, seconds: 0.01 }, (index) =>
    index === 4 ? Promise.reject(new Error('refused')) : Promise.resolve(),
  );
  await expect(load).rejects.toThrow('refused');
});
