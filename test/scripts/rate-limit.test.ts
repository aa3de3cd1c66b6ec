import { expect, it } from 'vitest';
import { rateLimiter } from '../../scripts/edge-serve/rate-limit.worker.ts';

it('lets each key ask so often a period, and again in the next', async () => {
  let nowMs = 120_000;
  const limiter = rateLimiter({ limit: 2, period: 60 }, () => nowMs);
  const ask = async (key: string) => (await limiter.limit({ key })).success;
  expect([await ask('a'), await ask('a'), await ask('a')]).toEqual([true, true, false]);
  expect(await ask('b')).toBe(true);
  nowMs += 59_999;
  expect(await ask('a')).toBe(false);
  nowMs += 1;
  expect(await ask('a')).toBe(true);
});
