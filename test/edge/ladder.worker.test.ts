/** Every rung of the ladder, and an outage from its beginning to its end; see edge/README.md. */
import { describe, expect, it } from 'vitest';
import type { ImpressionEvent } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import type { Experiment } from '../../shared/experiment.ts';
import { HEAD } from './stand-in.ts';
import { edgeUnderTest } from './under-test.worker.ts';

type Edge = ReturnType<typeof edgeUnderTest>;
const lastLogged = (edge: Edge) => edge.queued.at(-1) as ImpressionEvent;
const config = { ...DEFAULT_CONFIG, version: 3, generation: 7 };

interface Health {
  rungs: Record<string, number>;
  origins: {
    hedged: number;
    hedgeWon: number;
    elsewhere: number;
    refused: number;
    breakers: { state: string; opened: number }[];
  };
}
const health = async (edge: Edge) => (await edge.fetch('/healthz')).json() as Promise<Health>;

/** Searches so often, for something else each time, that the edge knows how long a call takes. */
async function warm(edge: Edge, calls: number): Promise<void> {
  for (let i = 0; i < calls; i++) await edge.ads(`q=warm-${i}`);
}

/** An edge that knows its configuration, and whose head is on the shelf. */
async function withHead(): Promise<Edge> {
  const edge = edgeUnderTest();
  await edge.backend({ head: HEAD });
  await edge.isolate.config.refresh();
  await edge.ads('q=hello');
  return edge;
}

describe('hedge', () => {
  it('a call that takes longer than most is made again, the first answer counts, and the other call is given up', async () => {
    const edge = edgeUnderTest({ HEDGE_SHARE: '1' });
    await warm(edge, 25);
    await edge.backend({ retrieve: 'hold-once' });
    const before = (await health(edge)).origins;
    const answer = await edge.ads('q=shoes');
    expect(answer).toMatchObject({ rung: 'hedge', cache: { status: 'miss' } });
    expect(answer.degraded).toBeUndefined();
    expect(answer.slots).toHaveLength(4);
    // What it shows is the plan's own list: an exposure like any other.
    expect(answer.assignments).toHaveLength(1);
    expect(lastLogged(edge)).toMatchObject({ rung: 'hedge', assignments: answer.assignments });
    expect((await edge.told()).retrieved.filter(({ query }) => query === 'shoes')).toHaveLength(2);
    while ((await edge.told()).left === 0);
    const { origins, rungs } = await health(edge);
    expect(origins.hedgeWon).toBe(before.hedgeWon + 1);
    expect(rungs.hedge).toBeGreaterThanOrEqual(1);
    expect(origins.breakers).toMatchObject([{ state: 'closed', opened: 0 }]);
  });

  it('not beyond its share, and never where something stale is at hand', async () => {
    const none = edgeUnderTest({ HEDGE_SHARE: '0' });
    await none.backend({ retrieve: 'drop' });
    for (let i = 0; i < 4; i++) expect((await none.ads(`q=shoes-${i}`)).rung).toBe('empty');
    expect((await none.told()).retrieved).toHaveLength(4);

    const stale = edgeUnderTest({ HEDGE_SHARE: '1' });
    const [cookie] = (await stale.fetch('/v1/ads?q=shoes')).headers.get('set-cookie')!.split(';');
    stale.later(20);
    await stale.backend({ retrieve: 'drop' });
    const answer = await stale.ads('q=shoes', { headers: { cookie: cookie! } });
    expect(answer).toMatchObject({ rung: 'stale', degraded: { rung: 'stale', reason: 'backend_unavailable' } });
    expect((await stale.told()).retrieved).toHaveLength(2);
  });

  it('a second origin answers while the first is away, and is asked at once when that is known', async () => {
    const second = edgeUnderTest();
    const { BACKEND_URL } = second.bindings;
    const edge = edgeUnderTest({ HEDGE_SHARE: '1', BACKEND_SECOND_URL: BACKEND_URL });
    await edge.backend({ retrieve: 'drop' });
    for (let i = 0; i < 10; i++) expect(await edge.ads(`q=shoes-${i}`)).toMatchObject({ rung: 'hedge' });
    expect(await health(edge)).toMatchObject({
      rungs: { hedge: 10, empty: 0 },
      origins: { hedged: 5, elsewhere: 5, breakers: [{ state: 'open' }, { state: 'closed' }] },
    });
    expect((await edge.told()).retrieved).toHaveLength(5);
    expect((await second.told()).retrieved).toHaveLength(10);
  });
});

describe('head', () => {
  it('ads of the head by their words, also in an isolate that never saw the backend: no plan, no exposure', async () => {
    const edge = await withHead();
    await edge.backend({ retrieve: 'drop', config: 'fail', killList: 'fail' });
    edge.restart();
    const answer = await edge.ads('q=blue+trainers');
    expect(answer).toMatchObject({
      rung: 'head',
      degraded: { rung: 'head', reason: 'backend_unavailable' },
      cache: { status: 'bypass' },
      generation: 7,
      model: null,
      assignments: [],
    });
    expect(answer.slots.map(({ adId }) => adId)).toEqual(['ad-1', 'ad-2', 'ad-3', 'ad-4']);
    expect(lastLogged(edge)).toMatchObject({
      id: answer.requestId,
      rung: 'head',
      reason: 'backend_unavailable',
      planFingerprint: 'head',
      assignments: [],
    });
    const { relevance, retrievers } = lastLogged(edge).slots[0]!;
    expect(retrievers).toEqual(['lexical']);
    // "blue" is nobody's word, so half of what was searched for is not met.
    expect(relevance).toBeGreaterThan(0);
    expect(relevance).toBeLessThan(0.6);
    const click = await edge.fetch(answer.slots[0]!.clickUrl);
    expect(click.headers.get('location')).toMatch(/^https:\/\/shop1\.example\/shoes/);

    expect((await edge.ads('q=violins')).rung).toBe('empty');
    expect((await edge.ads('q=trainers&market=au')).rung).toBe('empty');
    expect((await health(edge)).rungs).toMatchObject({ head: 1, empty: 2 });
  });

  it('shows no ad that was taken down', async () => {
    const edge = await withHead();
    await edge.backend({ retrieve: 'drop', killList: { version: 4, generation: 7, adIds: ['ad-1', 'ad-3'] } });
    edge.later(5);
    const { rung, slots } = await edge.ads('q=trainers');
    expect(rung).toBe('head');
    expect(slots.map(({ adId }) => adId)).toEqual(['ad-2', 'ad-4', 'ad-5']);
  });

  it('shows nothing of an older generation, whose removals no kill list names any more', async () => {
    const edge = await withHead();
    await edge.backend({ config: { ...config, version: 4, generation: 8 }, retrieve: 'drop' });
    edge.later(5);
    await edge.isolate.config.refresh();
    expect(await edge.ads('q=trainers')).toMatchObject({ rung: 'empty', slots: [] });
    // The backend's list of the new generation is shown as soon as it is there.
    await edge.backend({ head: { ...HEAD, generation: 8 } });
    edge.later(60);
    await edge.ads('q=hello');
    edge.later(10);
    expect((await edge.ads('q=trainers')).rung).toBe('head');
  });

  it('shows those of the generation before, for as long as the kill list covers it', async () => {
    const edge = await withHead();
    const publish = async (version: number, generation: number) => {
      await edge.backend({
        killList: { version, generation, since: generation - 1, adIds: ['ad-1'] },
        retrieve: 'drop',
      });
      edge.later(5);
      return edge.ads('q=trainers');
    };
    const { rung, generation, slots } = await publish(4, 8);
    expect([rung, generation]).toEqual(['head', 7]);
    expect(slots.map(({ adId }) => adId)).toEqual(['ad-2', 'ad-3', 'ad-4', 'ad-5']);
    expect(await publish(5, 9)).toMatchObject({ rung: 'empty', slots: [] });
  });

  it.each<[string, Partial<Experiment>]>([
    ['an interleaving that could not take place', { kind: 'interleaving' }],
    ['a page whose other arms could not be asked for', { counterfactualShare: 1 }],
  ])('%s is no exposure either', async (_, patch) => {
    const edge = await withHead();
    const [first] = DEFAULT_CONFIG.experiments;
    const experiments = [{ ...first!, ...patch }];
    await edge.backend({ config: { ...config, version: 4, experiments }, retrieve: 'drop' });
    edge.later(5);
    await edge.isolate.config.refresh();
    const answer = await edge.ads('q=trainers');
    expect(answer).toMatchObject({ rung: 'head', assignments: [] });
    expect(lastLogged(edge).assignments).toEqual([]);
    expect(lastLogged(edge).slots.some(({ team }) => team !== undefined)).toBe(false);
  });
});

it('an outage: every request is answered, head queries get ads, the breaker opens and closes, nothing is lost', async () => {
  const edge = await withHead();
  const ids: string[] = [(edge.queued[0] as ImpressionEvent).id];
  const ask = async (query: string) => {
    const answer = await edge.ads(`q=${query}`);
    ids.push(answer.requestId);
    return answer;
  };
  const [served, unserved] = [
    ['trainers', 'running+shoes', 'shoes'],
    ['violins', 'harps'],
  ];
  for (const query of [...served, ...unserved]) expect((await ask(query)).rung).toBe('fresh');

  await edge.backend({ retrieve: 'drop', config: 'fail', killList: 'fail', events: 'fail' });
  const reasons = new Set<string>();
  for (let second = 0; second < 60; second += 5) {
    edge.later(5);
    for (const query of served) {
      const { slots, degraded } = await ask(`${query}+until${second}`);
      expect(slots.length).toBeGreaterThan(0);
      expect(degraded?.rung).toBe('head');
      reasons.add(degraded!.reason);
    }
    for (const query of unserved) {
      const { rung, slots } = await ask(`${query}+until${second}`);
      expect([rung, slots]).toEqual(['empty', []]);
    }
  }
  expect([...reasons].sort()).toEqual(['backend_unavailable', 'circuit_open']);
  const { breakers } = (await health(edge)).origins;
  expect(breakers).toMatchObject([{ state: 'open' }]);
  // While it was open only a probe now and then looked whether the backend is back.
  expect((await edge.told()).retrieved.length).toBeLessThan(25);
  edge.later(-30); // the machine's clock is set back, which makes nothing last longer
  expect((await ask('violins+and+back')).rung).toBe('empty');

  await edge.backend({ retrieve: 'ok', config, killList: { version: 3, generation: 7, adIds: [] }, events: 'ok' });
  edge.later(3);
  for (let i = 0; i < 3; i++) expect((await ask(`shoes+again+${i}`)).rung).toBe('fresh');
  expect((await health(edge)).origins.breakers).toMatchObject([{ state: 'closed' }]);
  expect(edge.queued.map(({ id }) => id)).toEqual(ids);
  const { rungs } = await health(edge);
  expect(Object.values(rungs).reduce((a, b) => a + b)).toBe(ids.length);
});
