/** Where the head's ads come from and how long they are good for: asked of the backend, kept on the shelf, read when needed. */
import { describe, expect, it } from 'vitest';
import type { HeadShelf } from '../../../edge/head/head-shelf.ts';
import { HeadStore } from '../../../edge/head/head-store.ts';
import type { HeadAds } from '../../../shared/contract/head.ts';
import { HEAD } from '../stand-in.ts';

const T0 = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const PLAN = { k: 1, minRelevance: 0.1 };

/** A store over a shelf, or none, and a backend whose list is taken when it is asked; `clock` is what the test sets. */
function storeOver({ hasShelf = true, random = 0 } = {}) {
  const clock = { nowMs: T0, generation: 7 as number | null, since: 7 };
  const shelf: { kept: HeadAds | undefined; reads: number } = { kept: undefined, reads: 0 };
  const failed: string[] = [];
  const kv: HeadShelf = {
    stamp: async () => shelf.kept && { generation: shelf.kept.generation, atMs: shelf.kept.atMs },
    read: async () => {
      shelf.reads += 1;
      return shelf.kept;
    },
    write: async (ads) => {
      shelf.kept = ads;
    },
  };
  const store = new HeadStore({
    load: async () => ({ ...HEAD, generation: clock.generation!, atMs: clock.nowMs }),
    shelf: hasShelf ? kv : undefined,
    generation: () => clock.generation,
    since: () => clock.since,
    now: () => clock.nowMs,
    steady: () => clock.nowMs - T0,
    random: () => random,
    waitMs: 60_000,
    onError: (message) => failed.push(message),
  });
  const work: Promise<unknown>[] = [];
  const waitUntil = (promise: Promise<unknown>) => void work.push(promise);
  /** A request after so many seconds; with how often the backend was asked by then. */
  const keptUp = async (seconds = 0) => {
    clock.nowMs += 1_000 * seconds;
    store.keepUp(waitUntil);
    await Promise.all(work);
    return store.counts.asked;
  };
  const find = () => store.find({ query: 'trainers', market: 'us', plan: PLAN, waitUntil });
  return { store, clock, shelf, kv, failed, keptUp, find };
}

describe('the list on the shelf', () => {
  it('is asked for once a generation is known, again when it is five minutes old, and looked at once a minute', async () => {
    const { clock, keptUp } = storeOver();
    clock.generation = null;
    expect(await keptUp()).toBe(0);
    clock.generation = 7;
    expect(await keptUp()).toBe(1);
    expect(await keptUp(299)).toBe(1);
    // Looked at a second ago.
    expect(await keptUp(1)).toBe(1);
    expect(await keptUp(58)).toBe(1);
    expect(await keptUp(1)).toBe(2);
  });

  it('is asked for when a newer generation is heard of, by each isolate at another time of the next minute', async () => {
    for (const [random, seconds] of [
      [0, 0],
      [0.5, 30],
    ] as const) {
      const { clock, shelf, keptUp } = storeOver({ random });
      await keptUp();
      clock.generation = 8;
      if (seconds > 0) expect([await keptUp(), await keptUp(seconds - 1), await keptUp(1)]).toEqual([1, 1, 2]);
      else expect(await keptUp()).toBe(2);
      expect(shelf.kept!.generation).toBe(8);
    }
  });

  it('is asked for by few of many isolates, though KV shows each of them what it had a minute ago', async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const kept: HeadAds[] = [];
    let nowMs = T0;
    const seen = () => kept.findLast(({ atMs }) => atMs <= nowMs - 60_000);
    const shelf: HeadShelf = {
      stamp: async () => seen(),
      read: async () => seen(),
      write: async (ads) => void kept.push(ads),
    };
    kept.push({ ...HEAD, atMs: T0 - 60_000 });
    const isolates = Array.from({ length: 50 }, () => ({
      fromMs: T0 + 60_000 * random(),
      store: new HeadStore({
        ...{ load: async () => ({ ...HEAD, atMs: nowMs }), shelf, generation: () => 7, since: () => 7, random },
        ...{ now: () => nowMs, steady: () => nowMs - T0, waitMs: 0, onError: () => expect.fail('KV is there') },
      }),
    }));
    let oldestMs = 0;
    for (; nowMs < T0 + 3_600_000; nowMs += 1_000) {
      const work: Promise<unknown>[] = [];
      for (const { fromMs, store } of isolates) if (nowMs >= fromMs) store.keepUp((each) => void work.push(each));
      await Promise.all(work);
      oldestMs = Math.max(oldestMs, nowMs - seen()!.atMs);
    }
    // All of them every six minutes would be 500.
    expect(kept.length).toBeLessThan(150);
    expect(oldestMs).toBeLessThan(600_000);
  });

  it('is left as it is by an isolate that finds a recent one there', async () => {
    const { shelf, keptUp } = storeOver();
    shelf.kept = { ...HEAD, generation: 7, atMs: T0 - 299_999 };
    expect(await keptUp()).toBe(0);
    shelf.kept = { ...HEAD, generation: 7, atMs: T0 - 240_000 };
    expect(await keptUp(60)).toBe(1);
  });
});

describe('what is shown', () => {
  it('is of the last day', async () => {
    const { clock, shelf, find } = storeOver();
    shelf.kept = { ...HEAD, generation: 7, atMs: T0 };
    clock.nowMs += DAY_MS - 1;
    expect(await find()).toMatchObject({ generation: 7, ageMs: DAY_MS - 1, candidates: [{}] });
    clock.nowMs += 1;
    expect(await find()).toBeUndefined();
  });

  it('is never of an older list than was shown before', async () => {
    const { clock, shelf, find } = storeOver();
    shelf.kept = { ...HEAD, generation: 7, atMs: T0 - 1_000 };
    expect((await find())!.ageMs).toBe(1_000);
    // What another data centre still has.
    shelf.kept = { ...HEAD, generation: 7, atMs: T0 - 3_600_000 };
    clock.nowMs += 300_000;
    for (let i = 0; i < 2; i++) expect((await find())!.ageMs).toBe(301_000);
    expect(shelf.reads).toBe(2);
  });

  it('is looked for every five seconds at most while there is none, and every five minutes after that', async () => {
    const { clock, shelf, find } = storeOver();
    for (const [seconds, reads] of [
      [0, 1],
      [4, 1],
      [1, 2],
    ] as const) {
      clock.nowMs += 1_000 * seconds;
      expect([await find(), shelf.reads]).toEqual([undefined, reads]);
    }
    shelf.kept = { ...HEAD, generation: 7, atMs: clock.nowMs };
    clock.nowMs += 5_000;
    expect((await find())!.generation).toBe(7);
    clock.nowMs += 299_999;
    await find();
    expect(shelf.reads).toBe(3);
    clock.nowMs += 1;
    await find();
    expect(shelf.reads).toBe(4);
  });

  it('is looked for again after a look that died with its request', async () => {
    const { clock, kv, shelf, find } = storeOver();
    const { read } = kv;
    kv.read = () => new Promise(() => undefined);
    void find();
    kv.read = read;
    shelf.kept = { ...HEAD, generation: 7, atMs: T0 };
    clock.nowMs += 5_000;
    expect((await find())!.generation).toBe(7);
  });

  it('is what the isolate itself asked for where there is no shelf', async () => {
    const { keptUp, find } = storeOver({ hasShelf: false });
    expect(await find()).toBeUndefined();
    expect(await keptUp()).toBe(1);
    expect((await find())!.generation).toBe(7);
    expect(await keptUp(240)).toBe(1);
    expect(await keptUp(60)).toBe(2);
  });

  it('is nothing where the shelf fails, which is counted and said', async () => {
    const { store, kv, failed, find, keptUp } = storeOver();
    kv.read = () => Promise.reject(new Error('KV is away'));
    kv.stamp = () => Promise.reject(new Error('KV is away'));
    expect(await find()).toBeUndefined();
    await keptUp();
    expect([store.counts.failed, failed]).toEqual([
      2,
      ['the ads of the head could not be read', 'the ads of the head were not refreshed'],
    ]);
  });
});
