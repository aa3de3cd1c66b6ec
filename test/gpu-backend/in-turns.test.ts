import { expect, it } from 'vitest';
import { inTurns } from '../../gpu-backend/in-turns.ts';

it('visits all in order, and lets others run once its time is over', async () => {
  const seen: string[] = [];
  const other = new Promise<void>((resolve) =>
    setImmediate(() => {
      seen.push('another');
      resolve();
    }),
  );
  await inTurns(['a', 'b', 'c'], (item, index) => {
    seen.push(`${item}${index}`);
    if (item !== 'b') return;
    for (const until = performance.now() + 5; performance.now() < until; );
  });
  await other;
  expect(seen.filter((entry) => entry !== 'another')).toEqual(['a0', 'b1', 'c2']);
  expect(seen.indexOf('another')).toBeLessThan(seen.indexOf('c2'));
});

it('ends where there is nothing, and rejects with what the work throws', async () => {
  await inTurns([], () => expect.unreachable());
  await expect(
    inTurns([1], () => {
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
});
