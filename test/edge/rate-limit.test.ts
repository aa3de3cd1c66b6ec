import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RateLimiter } from '../../edge/rate-limit.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function limiterOver(limit: (options: { key: string }) => Promise<{ success: boolean }>) {
  const said: string[] = [];
  const limiter = new RateLimiter({
    binding: { limit },
    now: Date.now,
    onError: (message, error) => said.push(`${message}: ${error}`),
  });
  return { limiter, said };
}

describe('a rate limiter', () => {
  it('is obeyed when it answers in time, and costs no timer where it does so at once', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const { limiter } = limiterOver(async ({ key }) => ({ success: key !== 'often' }));
    expect([await limiter.refuses('often'), await limiter.refuses('seldom')]).toEqual([true, false]);
    expect(timers).not.toHaveBeenCalled();
    const slow = limiterOver(
      ({ key }) => new Promise((resolve) => setTimeout(resolve, 50, { success: key !== 'often' })),
    );
    const asked = [slow.limiter.refuses('often'), slow.limiter.refuses('seldom')];
    await vi.advanceTimersByTimeAsync(50);
    expect(await Promise.all(asked)).toEqual([true, false]);
    expect(vi.getTimerCount()).toBe(0);
    expect([limiter.counts, slow.limiter.counts]).toEqual(Array(2).fill({ refused: 1, failed: 0 }));
  });

  it.each<[string, () => Promise<never>, string]>([
    ['hangs', () => new Promise(() => undefined), 'no answer within 100 ms'],
    ['rejects', () => Promise.reject(new Error('away')), 'away'],
    [
      'throws',
      () => {
        throw new Error('away');
      },
      'away',
    ],
  ])('that %s refuses nobody, which is counted every time and said once a minute', async (_, limit, reason) => {
    const { limiter, said } = limiterOver(limit);
    const refuses = async () => {
      const asked = limiter.refuses('client');
      await vi.advanceTimersByTimeAsync(100);
      return asked;
    };
    expect([await refuses(), await refuses()]).toEqual([false, false]);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(reason);
    await vi.advanceTimersByTimeAsync(60_000);
    await refuses();
    expect(said).toHaveLength(2);
    expect(limiter.counts).toEqual({ refused: 0, failed: 3 });
  });
});
