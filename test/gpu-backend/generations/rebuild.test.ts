/** The looks of the rebuilder over a catalogue that comes and goes, on a clock of its own. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { createRebuilder, type RebuildOptions } from '../../../gpu-backend/generations/rebuild.ts';
import type { View } from '../../../gpu-backend/generations/view.ts';
import type { Generation } from '../../../shared/contract/generations.ts';
import { HarnessError } from '../../../shared/problem.ts';

const SECOND = 1_000;
const { signal } = new AbortController();

/** What the rebuilder sees of a view, and builds that index all that is there. */
function world(change: Partial<RebuildOptions> = {}) {
  const view = { number: 1, ads: 1_000, delta: 0, slots: 1_000, vacant: 0, broughtBack: false, standsIn: false };
  const at = { nowMs: 0 };
  const builds: number[] = [];
  const failures: string[] = [];
  const add = (ads: number) => {
    view.delta += ads;
    view.ads += ads;
    view.slots += ads;
  };
  const published = (): Generation => {
    Object.assign(view, {
      number: view.number + 1,
      delta: 0,
      slots: view.ads,
      vacant: 0,
      broughtBack: false,
      standsIn: false,
    });
    return { number: view.number } as Generation;
  };
  const rebuilder = createRebuilder({
    ...{ share: 0.1, minAds: 1, quietMs: 30 * SECOND, maxWaitMs: 300 * SECOND },
    live: { view: view as unknown as View },
    now: () => at.nowMs,
    staged: async () => 0,
    build: async () => {
      builds.push(at.nowMs);
      at.nowMs += 10 * SECOND;
      return published();
    },
    onBuilt: () => {},
    onFailed: (error) => failures.push((error as Error).message),
    ...change,
  });
  const look = async (seconds = 1) => {
    for (let second = 0; second < seconds; second++) {
      at.nowMs += SECOND;
      await rebuilder.look(signal);
    }
    return rebuilder.state();
  };
  return { view, at, builds, failures, add, published, rebuilder, look };
}

it('builds once after a load, and not in the middle', async () => {
  const { add, look, builds, rebuilder } = world();
  for (let second = 0; second < 100; second++) {
    add(50);
    expect((await look()).state).toBe(second < 2 ? 'fresh' : 'ads are coming'); // 100 of 1,100 are no tenth
  }
  expect(builds).toEqual([]);
  const { state, last } = await look(60);
  expect(builds).toEqual([130 * SECOND]);
  expect(state).toBe('fresh');
  expect(last).toEqual({
    ...{ because: 'added', outcome: 'published', generation: 2, reason: null },
    ...{ endedAt: '1970-01-01T00:02:20.000Z', tookMs: 10 * SECOND },
  });
  expect(rebuilder.stats()).toEqual({ added: 1, gone: 0, damaged: 0, failures: 0, endedAtSeconds: 140 });
});

it('waits for quiet while ads go as while they come', async () => {
  const { view, look, builds } = world();
  for (let second = 0; second < 100; second++) {
    view.ads -= 5;
    view.vacant += 5;
    await look();
  }
  expect(builds).toEqual([]);
  expect((await look(60)).last).toMatchObject({ because: 'gone' });
  expect(builds).toEqual([130 * SECOND]);
});

it('waits anew from when another generation is live', async () => {
  const { view, add, look, builds } = world();
  const coming = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      add(5);
      await look();
    }
  };
  add(1_000);
  await coming(290);
  view.number++; // that somebody published, and that has as much to catch up with
  await coming(290);
  expect(builds).toEqual([]);
  await coming(20);
  expect(builds).toHaveLength(1);
});

it('does not wait for ever for ads that never stop coming', async () => {
  const { add, look, builds } = world();
  for (let second = 0; second < 1_000; second++) {
    add(5);
    await look();
  }
  expect(builds.length).toBeGreaterThan(1);
  expect(builds.length).toBeLessThan(5);
});

it('waits for a bulk load that is being staged', async () => {
  let staged = 7; // of a load that was given up
  const { add, look, builds } = world({ staged: async () => staged });
  add(200);
  for (let second = 0; second < 200; second++) {
    staged += 1_000;
    await look();
  }
  expect(builds).toEqual([]);
  await look(90);
  expect(builds).toHaveLength(1);
});

it('builds where many ads have gone', async () => {
  const { view, look, rebuilder } = world();
  Object.assign(view, { ads: 500, vacant: 500 });
  expect((await look(40)).last).toMatchObject({ because: 'gone', outcome: 'published' });
  expect(rebuilder.stats()).toMatchObject({ added: 0, gone: 1 });
});

it('builds once in the place of one that is damaged, though no ad came', async () => {
  const { view, look, builds, rebuilder } = world();
  Object.assign(view, { standsIn: true });
  expect((await look(200)).last).toMatchObject({ because: 'damaged', outcome: 'published' });
  expect(builds).toHaveLength(1);
  expect(rebuilder.stats()).toMatchObject({ added: 0, damaged: 1 });
});

it('leaves what an operator brought back', async () => {
  const { view, add, look, builds, published } = world();
  Object.assign(view, { broughtBack: true });
  add(500);
  expect(await look(2_000)).toEqual({ state: 'brought back', last: null });
  published(); // the operator builds
  add(500);
  await look(100);
  expect(builds).toHaveLength(1);
});

describe('a build that fails', () => {
  let reason: string;
  let tried: number[];
  const failing = () => {
    const made = world({
      build: async () => {
        tried.push(made.at.nowMs);
        throw new HarnessError('gate_failed', reason);
      },
    });
    return made;
  };
  beforeEach(() => {
    [reason, tried] = ['recall', []];
  });

  it('is counted, told once for a reason, and tried later and later', async () => {
    const { add, look, failures, rebuilder, view } = failing();
    add(500);
    const { state, last } = await look(4_000);
    expect(state).toBe('failed');
    expect(last).toMatchObject({ outcome: 'failed', generation: null, reason: 'recall' });
    const pauses = tried.slice(1).map((at, i) => (at - tried[i]!) / SECOND);
    expect(pauses).toEqual([60, 120, 240, 480, 960, 1_920]);
    expect(failures).toEqual(['recall']);
    reason = 'the disk is full';
    await look(4_000);
    expect(failures).toEqual(['recall', 'the disk is full']);
    expect(rebuilder.stats()).toMatchObject({ added: 0, failures: 8 });
    expect(view.number).toBe(1);
  });

  it('says nothing of generations after another one is live', async () => {
    const { add, look, published } = failing();
    add(500);
    await look(4_000);
    const before = tried.length;
    published();
    add(500);
    await look(40);
    expect(tried).toHaveLength(before + 1);
  });

  it('is no failure when another publishes, or the service stops', async () => {
    const { add, look, rebuilder } = world({
      build: async () => {
        throw new HarnessError('conflict', 'Another backend is publishing; wait for it to finish.');
      },
    });
    add(500);
    expect(await look(100)).toEqual({ state: 'another publishes', last: null });
    const stopping = new AbortController();
    const stopped = world({
      build: async () => {
        stopping.abort();
        throw new Error('aborted');
      },
    });
    stopped.add(500);
    await stopped.look(29);
    stopped.at.nowMs += 60 * SECOND;
    await stopped.rebuilder.look(stopping.signal);
    expect(stopping.signal.aborted).toBe(true);
    for (const { failures } of [rebuilder.stats(), stopped.rebuilder.stats()]) expect(failures).toBe(0);
  });
});

it('keeps what is searched outside the index below the bound once the catalogue is at rest, with few builds', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ ads: fc.nat(300), seconds: fc.integer({ min: 1, max: 120 }) }), { maxLength: 20 }),
      async (bursts) => {
        const { view, at, add, look, builds } = world();
        for (const { ads, seconds } of bursts) {
          add(ads);
          await look(seconds);
        }
        await look(60);
        expect(view.delta).toBeLessThan(0.1 * view.ads);
        // Each build began with a tenth of the ads outside, and not sooner than the one before took.
        expect(1_000 * 1.1 ** builds.length).toBeLessThan(view.ads * 1.2);
        for (let i = 1; i < builds.length; i++) expect(builds[i]! - builds[i - 1]!).toBeGreaterThanOrEqual(20 * SECOND);
        expect(at.nowMs).toBeGreaterThan(0);
      },
    ),
    { seed: 1, numRuns: 50 },
  );
});
