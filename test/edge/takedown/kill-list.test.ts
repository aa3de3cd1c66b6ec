import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { KillListKeeper, type KillListOptions } from '../../../edge/takedown/kill-list.ts';
import type { KillList, KillListNews } from '../../../shared/contract/takedown.ts';

const list = (version: number, ...adIds: string[]): KillList => ({ version, generation: 1, adIds });

/** A keeper with a clock that is set by hand, and calls that the test answers. */
function keeperUnderTest(change: Partial<KillListOptions> = {}) {
  let nowMs = 1_000_000;
  const calls: {
    versions: { have: number; want: number };
    answer: (news: KillListNews) => Promise<void>;
    fail: () => Promise<void>;
  }[] = [];
  const errors: unknown[] = [];
  const work: Promise<unknown>[] = [];
  const settled = async () => void (await new Promise((resolve) => setImmediate(resolve)));
  const keeper = new KillListKeeper({
    ask: (versions) =>
      new Promise((resolve, reject) => {
        calls.push({
          versions,
          answer(news) {
            resolve(news);
            return settled();
          },
          fail() {
            reject(new Error('away'));
            return settled();
          },
        });
      }),
    now: () => nowMs,
    refreshMs: 250,
    boundMs: 500,
    waitMs: 60_000,
    onError: (_, error) => errors.push(error),
    ...change,
  });
  const later = (ms: number) => {
    nowMs += ms;
  };
  /** A request: whether it is being served. */
  const request = async () => {
    const state = { served: false };
    void keeper.keepUp((each) => work.push(each)).then(() => (state.served = true));
    await settled();
    return state;
  };
  return { keeper, calls, errors, work, request, later };
}

describe('a keeper of the kill list', () => {
  it('lets the first request wait for the list, and the next ones go by it', async () => {
    const { keeper, calls, request } = keeperUnderTest();
    const first = await request();
    expect(first.served).toBe(false);
    await calls[0]!.answer({ ageMs: 0, list: list(3, 'a') });
    expect([first.served, (await request()).served, calls.length]).toEqual([true, true, 1]);
    expect(keeper.list.adIds).toEqual(['a']);
  });

  it('asks behind the requests from 250 ms on, and lets them wait from 500 ms on', async () => {
    const { keeper, calls, request, later } = keeperUnderTest();
    await request();
    await calls[0]!.answer({ ageMs: 0, list: list(3) });
    keeper.heard(3); // what every answer of the backend says
    later(249);
    expect([(await request()).served, calls.length]).toEqual([true, 1]);
    later(1);
    expect([(await request()).served, calls.length]).toEqual([true, 2]);
    later(249);
    expect([(await request()).served, calls.length]).toEqual([true, 2]);
    later(1);
    const waits = await request();
    expect([waits.served, calls.length]).toEqual([false, 2]);
    await calls[1]!.answer({ ageMs: 0 });
    expect(waits.served).toBe(true);
  });

  it('keeps busy the request that asks, and none of those that meanwhile serve by the list or wait for it', async () => {
    const { calls, work, request, later } = keeperUnderTest();
    const waits = [await request(), await request()];
    expect([calls.length, work.length]).toEqual([1, 1]);
    await calls[0]!.answer({ ageMs: 0, list: list(3) });
    expect(waits.every(({ served }) => served)).toBe(true);
    later(250);
    for (let i = 0; i < 3; i++) await request();
    expect([calls.length, work.length]).toEqual([2, 2]);
  });

  it('counts age from the asking on, and adds what the next keeper says', async () => {
    const { keeper, calls, request, later } = keeperUnderTest();
    await request();
    later(100);
    await calls[0]!.answer({ ageMs: 150, list: list(3) });
    expect(keeper.ageMs).toBe(250);
  });

  it('does not take an answer for news that was asked for too long ago', async () => {
    const { calls, request, later } = keeperUnderTest();
    await request();
    later(500);
    await request();
    expect(calls).toHaveLength(2);
    await calls[0]!.answer({ ageMs: 0, list: list(3) });
    expect((await request()).served).toBe(false);
    await calls[1]!.answer({ ageMs: 0, list: list(4, 'a') });
    expect((await request()).served).toBe(true);
  });

  it('goes by the later asking where answers come in the wrong order, and still waits for the one that it asked last', async () => {
    const { keeper, calls, request, later } = keeperUnderTest();
    await request();
    later(500);
    await request();
    await calls[0]!.answer({ ageMs: 0, list: list(3) });
    const waits = await request();
    expect([waits.served, calls.length]).toEqual([false, 2]);
    later(100);
    keeper.heard(4);
    await request();
    await calls[2]!.answer({ ageMs: 0, list: list(4, 'a') });
    await calls[1]!.answer({ ageMs: 0, list: list(3) });
    expect([waits.served, keeper.ageMs, keeper.list.version]).toEqual([true, 0, 4]);
  });

  it('asks at once, once, for a version that it heard of, and waits for it', async () => {
    const { keeper, calls, request } = keeperUnderTest();
    await request();
    await calls[0]!.answer({ ageMs: 0, list: list(3) });
    keeper.heard(4);
    keeper.heard(3); // by an answer that was longer on its way
    const waits = [await request(), await request()];
    expect([waits.map(({ served }) => served), calls.length]).toEqual([[false, false], 2]);
    expect(calls[1]!.versions).toEqual({ have: 3, want: 4 });
    await calls[1]!.answer({ ageMs: 0, list: list(4, 'a') });
    expect([waits.every(({ served }) => served), keeper.list.adIds]).toEqual([true, ['a']]);
    keeper.heard(5);
    await request();
    await calls[2]!.answer({ ageMs: 0 });
    expect([(await request()).served, calls.length]).toEqual([true, 3]);
  });

  it('never goes back to an older list', async () => {
    const { keeper, calls, request, later } = keeperUnderTest();
    await request();
    await calls[0]!.answer({ ageMs: 0, list: list(4, 'a') });
    later(300);
    await request();
    await calls[1]!.answer({ ageMs: 0, list: list(3) });
    expect([keeper.list.version, keeper.list.adIds]).toEqual([4, ['a']]);
  });

  it('takes its own version for word that it still holds, the list with it or not', async () => {
    const { keeper, calls, request, later } = keeperUnderTest();
    for (const news of [{ list: list(3, 'a') }, { list: list(3, 'a') }, {}]) {
      later(300);
      await request();
      await calls.at(-1)!.answer({ ageMs: 0, ...news });
      expect([keeper.ageMs, keeper.counts.failed, keeper.list]).toEqual([0, 0, list(3, 'a')]);
    }
    expect(calls).toHaveLength(3);
  });

  it('does not take an older list for word that its own still holds, and says so', async () => {
    const { keeper, calls, errors, request, later } = keeperUnderTest();
    await request();
    await calls[0]!.answer({ ageMs: 0, list: list(4, 'a') });
    later(300);
    await request();
    await calls[1]!.answer({ ageMs: 0, list: list(3) });
    expect([keeper.ageMs, keeper.counts.failed, String(errors)]).toEqual([
      300,
      1,
      'Error: expected version 4 or later, got 3',
    ]);
  });

  it('takes the earlier of two answers that come in the wrong order for no fault', async () => {
    const { keeper, calls, errors, request } = keeperUnderTest();
    await request();
    keeper.heard(4);
    await request();
    await calls[1]!.answer({ ageMs: 0, list: list(4, 'a') });
    await calls[0]!.answer({ ageMs: 0, list: list(3) });
    expect([keeper.list.version, keeper.counts.failed, errors]).toEqual([4, 0, []]);
  });

  it.each(['fail', 'old'] as const)('keeps its list and lets nobody wait for a second after %s', async (how) => {
    const { keeper, calls, errors, request, later } = keeperUnderTest();
    await request();
    await calls[0]!.answer({ ageMs: 0, list: list(3, 'a') });
    for (let second = 0; second < 3; second++) {
      later(1_000);
      const waits = await request();
      expect(waits.served).toBe(false);
      await (how === 'fail' ? calls.at(-1)!.fail() : calls.at(-1)!.answer({ ageMs: 700 }));
      expect(waits.served).toBe(true);
      later(600);
      expect((await request()).served).toBe(true);
      await (how === 'fail' ? calls.at(-1)!.fail() : calls.at(-1)!.answer({ ageMs: 700 }));
    }
    expect(keeper.list.adIds).toEqual(['a']);
    expect(errors).toHaveLength(1);
    later(300);
    await request();
    await calls.at(-1)!.answer({ ageMs: 0, list: list(5) });
    later(500);
    expect((await request()).served).toBe(false);
  });

  it('serves without an answer once the wait is over, and lets nobody else wait for a second', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { keeper, calls, request, later } = keeperUnderTest({ waitMs: 100 });
    const overdue = async () => {
      const state = await request();
      await vi.advanceTimersByTimeAsync(99);
      expect(state.served).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(state.served).toBe(true);
    };
    await overdue();
    expect(keeper.counts).toEqual({ asked: 1, failed: 0, waited: 1, overdue: 1 });
    later(999);
    expect([(await request()).served, calls.length]).toEqual([true, 2]);
    later(1);
    await overdue();
    await calls.at(-1)!.answer({ ageMs: 0, list: list(3, 'a') });
    expect([keeper.list.adIds, (await request()).served]).toEqual([['a'], true]);
  });
});
