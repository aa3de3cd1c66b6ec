import { expect, it } from 'vitest';
import { onceAMinute } from '../../edge/once-a-minute.ts';

it('says the first of every minute', () => {
  let nowMs = 1_000;
  const said: unknown[][] = [];
  const say = onceAMinute(
    () => nowMs,
    (...what: [string, number]) => said.push(what),
  );
  for (const atMs of [1_000, 1_001, 60_999, 61_000, 61_001, 400_000]) {
    nowMs = atMs;
    say('away', atMs);
  }
  expect(said).toEqual([
    ['away', 1_000],
    ['away', 61_000],
    ['away', 400_000],
  ]);
});
