/** Takedown in workerd: the object on its own disk, and answers from the cache. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { type KeeperDependencies, KillListObject } from '../../../edge/takedown/kill-list-object.ts';
import type { ImpressionEvent } from '../../../shared/contract/events.ts';
import type { KillList, KillListNews } from '../../../shared/contract/takedown.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../../../shared/defaults.ts';
import { fingerprint } from '../../../shared/plan.ts';
import { CANDIDATES } from '../stand-in.ts';
import { edgeUnderTest } from '../under-test.worker.ts';

const list = (version: number, ...adIds: string[]): KillList => ({ version, generation: 7, adIds });

describe('the object', () => {
  /** Runs on the storage of a real Durable Object. */
  const onDisk = (
    name: string,
    test: (
      open: (dependencies: Partial<KeeperDependencies>) => KillListObject,
      storage: DurableObjectStorage,
    ) => Promise<void>,
  ) => {
    const { KILL_LIST } = env as unknown as { KILL_LIST: DurableObjectNamespace };
    return runInDurableObject(KILL_LIST.get(KILL_LIST.idFromName(name)) as never, (_, state) =>
      test(
        (dependencies) =>
          new KillListObject(state as never, () => ({
            now: () => 1_000_000,
            load: () => Promise.reject(new Error('away')),
            onError: () => undefined,
            ...dependencies,
          })),
        state.storage,
      ),
    );
  };
  const ask = async (object: KillListObject, have: number, want = 0) =>
    (await (await object.fetch({ url: `https://kill-list/?have=${have}&want=${want}` })).json()) as KillListNews;

  it('asks the backend for all who ask it, and sends the list to those that lack it', () =>
    onDisk('one', async (open) => {
      let [nowMs, loads] = [1_000_000, 0];
      const object = open({
        now: () => nowMs,
        load: async () => list(3 + ++loads, 'a'),
      });
      expect(await Promise.all([ask(object, 0), ask(object, 0), ask(object, 4)])).toEqual([
        { ageMs: 0, list: list(4, 'a') },
        { ageMs: 0, list: list(4, 'a') },
        { ageMs: 0 },
      ]);
      expect(loads).toBe(1);
      nowMs += 199;
      expect(await ask(object, 4)).toEqual({ ageMs: 199 });
      nowMs += 1;
      expect(await ask(object, 4)).toEqual({ ageMs: 0, list: list(5, 'a') });
      expect(await ask(object, 5, 6)).toEqual({ ageMs: 0, list: list(6, 'a') });
      expect(loads).toBe(3);
    }));

  it('has its list confirmed by a backend that has no other', () =>
    onDisk('same', async (open) => {
      let nowMs = 1_000_000;
      const asked: number[] = [];
      const object = open({
        now: () => nowMs,
        load: async (have) => {
          asked.push(have);
          return have === 4 ? undefined : list(4, 'a');
        },
      });
      await ask(object, 0);
      nowMs += 500;
      expect([await ask(object, 4), await ask(object, 0)]).toEqual([{ ageMs: 0 }, { ageMs: 0, list: list(4, 'a') }]);
      expect(asked).toEqual([0, 4]);
    }));

  it('keeps its list through a restart, and says that it is old', () =>
    onDisk('restart', async (open) => {
      await ask(open({ load: async () => list(4, 'a') }), 0);
      const news = await ask(open({}), 0);
      expect(news.list).toEqual(list(4, 'a'));
      expect(news.ageMs).toBeGreaterThan(86_400_000);
    }));

  it('keeps a list of any length in values of the size that a disk of Cloudflare takes', () =>
    onDisk('long', async (open, storage) => {
      const long = { ...list(4), adIds: Array.from({ length: 150_000 }, (_, i) => `advertiser-${i}`) };
      await ask(open({ load: async () => long }), 0);
      const sizes = [...(await storage.list()).values()].map((value) => JSON.stringify(value).length);
      expect(sizes.length).toBeGreaterThan(2);
      expect(Math.max(...sizes)).toBeLessThan(2_000_000);
      expect((await ask(open({}), 0)).list).toEqual(long);
      await ask(open({ load: async () => list(5, 'a') }), 0);
      expect((await ask(open({}), 0)).list).toEqual(list(5, 'a'));
    }));

  it('reads what an object of before kept', () =>
    onDisk('before', async (open, storage) => {
      await storage.put('kill-list', list(4, 'a'));
      expect((await ask(open({}), 0)).list).toEqual(list(4, 'a'));
    }));

  it('shows who knows a newer list that its own is older', () =>
    onDisk('behind', async (open) => {
      const object = open({ load: async () => list(4, 'a') });
      expect(await ask(object, 6)).toEqual({ ageMs: 0, list: list(4, 'a') });
    }));

  it('answers by its disk from the first question on, however long that takes', async () => {
    const storage = {
      get: async () => {
        await new Promise((resolve) => setTimeout(resolve));
        return new Map([['kill-list', list(4, 'a')]]);
      },
      put: async () => undefined,
    };
    const world = { now: () => 1_000_000, load: () => Promise.reject(new Error('away')), onError: () => undefined };
    const object = new KillListObject({ storage, waitUntil: () => undefined }, () => world);
    expect((await ask(object, 0)).list).toEqual(list(4, 'a'));
  });

  it('writes what is newer than its disk, and nothing else', async () => {
    const written: string[] = [];
    const storage = {
      get: async () => new Map([['kill-list', list(4, 'a')]]),
      put: async (entries: Record<string, unknown>) => void written.push(...Object.keys(entries)),
    };
    let [nowMs, version] = [1_000_000, 4];
    const object = new KillListObject({ storage, waitUntil: () => undefined }, () => ({
      now: () => nowMs,
      load: async () => list(version, 'a'),
      onError: () => undefined,
    }));
    await ask(object, 0);
    expect(written).toEqual([]);
    nowMs += 1_000;
    version = 5;
    expect(await ask(object, 4)).toMatchObject({ list: { version: 5 } });
    expect(written).toEqual(['kill-list/0', 'kill-list/parts']);
  });
});

describe('an answer from the cache', () => {
  const visit = async (edge: ReturnType<typeof edgeUnderTest>) => {
    const first = await edge.fetch('/v1/ads?q=shoes');
    const headers = { cookie: first.headers.get('set-cookie')!.split(';')[0]! };
    return async () => {
      const { cache, slots } = await edge.ads('q=shoes', { headers });
      return { from: cache.status, ids: slots.map(({ adId }) => adId) };
    };
  };

  it('does not hold an ad that was taken down half a second ago, and holds it again when that is taken back', async () => {
    const edge = edgeUnderTest();
    const shown = await visit(edge);
    expect((await shown()).ids).toContain('ad-5');
    await edge.backend({ killList: list(4, 'ad-5') });
    edge.later(0.5);
    const after = await shown();
    expect(after.from).toBe('memory');
    expect(after.ids).not.toContain('ad-5');
    await edge.backend({ killList: list(5) });
    edge.later(0.5);
    expect((await shown()).ids).toContain('ad-5');
  });

  it('follows the version in the headers of any answer at once', async () => {
    const edge = edgeUnderTest();
    const shown = await visit(edge);
    await edge.backend({ killList: list(4, 'ad-5'), news: { configVersion: 4, generation: 7 } });
    await edge.ads('q=something-else');
    expect((await shown()).ids).not.toContain('ad-5');
  });

  it('is not one of before the generation of the list, which does not name what was taken down before that', async () => {
    // An isolate hears no headers of an object that asks for it.
    let news: KillListNews = { ageMs: 0, list: list(3) };
    const KILL_LIST = { idFromName: () => '', get: () => ({ fetch: async () => Response.json(news) }) };
    const edge = edgeUnderTest({ KILL_LIST });
    const shown = await visit(edge);
    expect((await shown()).ids).toContain('ad-5');
    await edge.backend({ candidates: CANDIDATES.filter(({ adId }) => adId !== 'ad-5') });
    news = { ageMs: 0, list: { ...list(4), generation: 8 } };
    edge.later(0.5);
    const after = await shown();
    expect(after.from).toBe('miss');
    expect(after.ids).not.toContain('ad-5');
  });

  it('that was on its way when a list of a newer generation came holds nothing that only the list before names', async () => {
    let news: KillListNews = { ageMs: 0, list: list(4, 'ad-5') };
    const KILL_LIST = { idFromName: () => '', get: () => ({ fetch: async () => Response.json(news) }) };
    const edge = edgeUnderTest({ KILL_LIST });
    const shown = await visit(edge);
    expect((await shown()).ids).not.toContain('ad-5');
    await edge.backend({ retrieve: 'hold', news: { configVersion: 3, generation: 7 } });
    const late = edge.ads('q=boots');
    while ((await edge.told()).held === 0);
    news = { ageMs: 0, list: { ...list(5), generation: 8 } };
    edge.later(0.5);
    await edge.fetch('/v1/ads?q='); // hears the newer list, and asks for no candidates
    expect(edge.isolate.serving().killed.has('ad-5')).toBe(false);
    await edge.release();
    const { slots } = await late;
    expect(slots.length).toBeGreaterThan(0);
    expect(slots.map(({ adId }) => adId)).not.toContain('ad-5');
  });

  it('is of no candidates that the newest list does not cover, whoever gives them', async () => {
    const edge = edgeUnderTest();
    const refused = { rung: 'empty', degraded: { reason: 'backend_unavailable' }, slots: [] };
    await edge.backend({ killList: { ...list(4), since: 6 }, news: { configVersion: 4, generation: 6 } });
    expect(await edge.ads('q=shoes')).toMatchObject({ rung: 'fresh', generation: 6 });
    await edge.backend({ config: { ...DEFAULT_CONFIG, version: 5, generation: 8, killListSince: 7 } });
    await edge.isolate.config.refresh();
    expect(await edge.ads('q=shoes')).toMatchObject(refused);
    const news = { configVersion: 6, generation: 7 };
    await edge.backend({ killList: { ...list(6), generation: 9, since: 8 }, news });
    edge.later(0.5);
    expect(await edge.ads('q=shoes')).toMatchObject(refused);
    expect(edge.isolate.killList.list.version).toBe(6);
    // Through Workers Caching they come by way of an isolate that may have an older list.
    const timings = { totalMs: 3, encodeMs: 2, searchMs: 1 };
    const answer = { generation: 7, model: 'test-model', spaceId: '0123456789abcdef', candidates: CANDIDATES, timings };
    edge.isolate.retrieve = async () => ({ body: JSON.stringify(answer), generation: 7, empty: false });
    expect(await edge.ads('q=shoes')).toMatchObject(refused);
  });

  it('is had of the others behind a balancer while one of them is too far behind', async () => {
    const edge = edgeUnderTest({ HEDGE_SHARE: '0' });
    await edge.backend({ killList: { ...list(4), generation: 9, since: 8 } });
    const rungs: string[] = [];
    for (let i = 0; i < 20; i++) {
      await edge.backend({ news: { configVersion: 4, generation: i % 2 === 0 ? 7 : 9 } });
      rungs.push((await edge.ads(`q=shoes-${i}`)).rung);
    }
    expect(rungs).toEqual(Array.from({ length: 10 }, () => ['empty', 'fresh']).flat());
  });

  it('that was long on its way does not go by the list of when it was asked for', async () => {
    const edge = edgeUnderTest();
    const shown = await visit(edge);
    expect((await shown()).ids).toContain('ad-5');
    await edge.backend({ retrieve: 'hold', killList: list(4, 'ad-5') });
    edge.later(0.2);
    const late = edge.ads('q=boots');
    while ((await edge.told()).held === 0);
    edge.later(0.9);
    await edge.release();
    const { slots } = await late;
    expect(slots.length).toBeGreaterThan(0);
    expect(slots.map(({ adId }) => adId)).not.toContain('ad-5');
  });

  it('that was on its way when an ad came back holds it, where the list says how far back it goes', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ killList: { ...list(4, 'ad-5'), since: 6 } });
    await edge.ads('q=shoes');
    await edge.backend({ retrieve: 'hold', killList: { ...list(5), since: 6 } });
    edge.later(0.2);
    const late = edge.ads('q=boots');
    while ((await edge.told()).held === 0);
    edge.later(0.9);
    await edge.release();
    expect((await late).slots.map(({ adId }) => adId)).toContain('ad-5');
  });

  it('that two publications have overtaken on its way holds nothing, as no list tells what was taken down between them', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ killList: { ...list(4), since: 6 } });
    await edge.ads('q=shoes');
    await edge.backend({ retrieve: 'hold', killList: { ...list(5), generation: 9, since: 8 } });
    edge.later(0.2);
    const late = edge.ads('q=boots');
    while ((await edge.told()).held === 0);
    edge.later(0.9);
    await edge.release();
    expect(await late).toMatchObject({ generation: 7, slots: [] });
  });

  it('does not hold an ad that was taken down after the clock was set back', async () => {
    const edge = edgeUnderTest();
    const shown = await visit(edge);
    expect((await shown()).ids).toContain('ad-5');
    edge.later(-30);
    expect((await shown()).ids).toContain('ad-5');
    await edge.backend({ killList: list(4, 'ad-5') });
    edge.later(0.5);
    expect((await shown()).ids).not.toContain('ad-5');
  });

  it('goes by the last list while the backend is away', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ killList: list(4, 'ad-5') });
    const shown = await visit(edge);
    await edge.backend({ killList: 'fail', retrieve: 'drop', config: {} });
    edge.later(2);
    expect((await shown()).ids).not.toContain('ad-5');
  });
});

describe('an experiment that was stopped half a second ago', () => {
  it('assigns nobody, though the configuration in use is the one before', async () => {
    const edge = edgeUnderTest();
    await edge.isolate.config.refresh();
    expect((await edge.ads('q=shoes')).assignments).toHaveLength(1);
    await edge.backend({ killList: { ...list(4), running: ['another'] } });
    edge.later(0.5);
    expect((await edge.ads('q=shoes')).assignments).toEqual([]);
    expect(edge.isolate.config.state.version).toBe(3);
    const planFingerprint = await fingerprint(DEFAULT_CONFIG.plan);
    expect(edge.queued.at(-1) as ImpressionEvent).toMatchObject({ assignments: [], planFingerprint });
    await edge.backend({ killList: { ...list(5), running: [DEFAULT_EXPERIMENT] } });
    edge.later(0.5);
    expect((await edge.ads('q=shoes')).assignments).toHaveLength(1);
  });

  it('is not to be read from a list of before experiments were on it', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ killList: list(4, 'ad-5') });
    expect((await edge.ads('q=shoes')).assignments).toHaveLength(1);
  });
});
