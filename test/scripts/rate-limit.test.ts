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

it('forgets who was not seen for longest where there are too many, and nobody who goes on asking', async () => {
  const limiter = rateLimiter({ limit: 1, period: 60 }, () => 0);
  const ask = async (key: string) => (await limiter.limit({ key })).success;
  expect([await ask('busy'), await ask('once')]).toEqual([true, true]);
  for (let i = 0; i < 50_000; i++) {
    if (i % 1_000 === 0) expect(await ask('busy')).toBe(false);
    await ask(`passes-by-${i}`);
  }
  expect([await ask('busy'), await ask('once')]).toEqual([false, true]);
});

it('tells apart no more than addresses have', async () => {
  const limiter = rateLimiter({ limit: 1, period: 60 }, () => 0);
  const ask = async (key: string) => (await limiter.limit({ key })).success;
  expect([await ask(`${'x'.repeat(64)}1`), await ask(`${'x'.repeat(64)}2`)]).toEqual([true, false]);
});
