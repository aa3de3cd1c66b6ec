import { describe, expect, it } from 'vitest';
import type { ImpressionEvent } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../../shared/defaults.ts';
import type { Behaviour } from './stand-in.ts';
import { edgeUnderTest } from './under-test.worker.ts';

type Edge = ReturnType<typeof edgeUnderTest>;
const impressions = (edge: Edge) => edge.queued as ImpressionEvent[];
const config = { ...DEFAULT_CONFIG, version: 3, generation: 7 };

async function visitor(edge: Edge): Promise<{ cookie: string }> {
  const response = await edge.fetch('/v1/ads?q=hello');
  return { cookie: response.headers.get('set-cookie')!.split(';')[0]! };
}

async function health(edge: Edge) {
  return (await edge.fetch('/healthz')).json() as Promise<{
    status: string;
    config: { version: number; source: string; lastError: string | null; refused: number };
  }>;
}

describe('the backend is away', () => {
  it('from the start: empty, with a reason, and logged as a query of its arm', async () => {
    const edge = edgeUnderTest({ BACKEND_URL: 'http://127.0.0.1:9' });
    const answer = await edge.ads('q=shoes');
    expect(answer).toMatchObject({
      slots: [],
      generation: null,
      model: null,
      cache: { status: 'miss' },
      degraded: { rung: 'empty', reason: 'backend_unavailable' },
    });
    expect(answer.assignments).toMatchObject([{ experiment: DEFAULT_EXPERIMENT }]);
    expect(impressions(edge)[0]).toMatchObject({
      id: answer.requestId,
      assignments: answer.assignments,
      rung: 'empty',
      reason: 'backend_unavailable',
      configVersion: 0,
      slots: [],
    });
  });

  it.each<[Behaviour['retrieve'], string]>([
    ['drop', 'backend_unavailable'],
    ['page', 'backend_unavailable'],
    ['garbage', 'backend_unavailable'],
    ['refuse', 'too_many_requests'],
    ['hang', 'deadline_exceeded'],
  ])(
    '%s: what is stale stands in for it, what is gone is empty, and what it says again is fresh',
    async (how, reason) => {
      const edge = edgeUnderTest();
      const { backendDeadlineMs } = edge.isolate.settings;
      const headers = await visitor(edge);
      const fresh = await edge.ads('q=shoes', { headers });
      await edge.backend({ retrieve: how });
      if (how === 'hang') edge.deadline(100);

      expect((await edge.ads('q=shoes', { headers })).cache.status).toBe('memory');
      edge.later(20);
      const stale = await edge.ads('q=shoes', { headers });
      expect(stale).toMatchObject({ cache: { status: 'stale' }, degraded: { rung: 'stale', reason } });
      expect(stale.cache.ageMs).toBeGreaterThanOrEqual(20_000);
      expect(stale.slots.map(({ adId }) => adId)).toEqual(fresh.slots.map(({ adId }) => adId));
      expect(impressions(edge).at(-1)).toMatchObject({ rung: 'stale', reason, cache: stale.cache });

      const empty = await edge.ads('q=boots', { headers });
      expect(empty).toMatchObject({ slots: [], degraded: { rung: 'empty', reason } });
      expect(impressions(edge).at(-1)).toMatchObject({ rung: 'empty', reason });

      await edge.backend({ retrieve: 'ok' });
      edge.deadline(backendDeadlineMs);
      const back = await edge.ads('q=shoes', { headers });
      expect(back).toMatchObject({ cache: { status: 'miss' } });
      expect(back.degraded).toBeUndefined();
    },
  );

  it('a stale list that stands in says how long the backend was waited for', async () => {
    const edge = edgeUnderTest();
    const headers = await visitor(edge);
    await edge.ads('q=shoes', { headers });
    edge.later(20);
    await edge.backend({ retrieve: 'hold' });
    const late = edge.ads('q=shoes', { headers });
    while ((await edge.told()).held === 0);
    edge.later(2);
    await edge.backend({ retrieve: 'drop' });
    await edge.release();
    const { cache, timings } = await late;
    expect([cache.status, timings.encodeMs, timings.searchMs]).toEqual(['stale', 0, 0]);
    expect(timings.backendMs).toBeGreaterThanOrEqual(2_000);
    expect(impressions(edge).at(-1)!.timings).toEqual(timings);
  });

  it('a stale list is dropped at its hard expiry', async () => {
    const edge = edgeUnderTest({ CACHE_SOFT_SECONDS: '10', CACHE_HARD_SECONDS: '40' });
    const headers = await visitor(edge);
    await edge.ads('q=shoes', { headers });
    await edge.backend({ retrieve: 'drop' });
    edge.later(30);
    expect((await edge.ads('q=shoes', { headers })).cache.status).toBe('stale');
    edge.later(20);
    expect((await edge.ads('q=shoes', { headers })).degraded?.rung).toBe('empty');
  });

  it('a paused ad does not come back with a stale list', async () => {
    const edge = edgeUnderTest();
    const headers = await visitor(edge);
    await edge.ads('q=shoes', { headers });
    await edge.backend({ retrieve: 'drop', config: { ...config, version: 4, killList: ['ad-5'] } });
    edge.later(20);
    const stale = await edge.ads('q=shoes', { headers });
    expect(stale.cache.status).toBe('stale');
    expect(stale.slots.map(({ adId }) => adId)).not.toContain('ad-5');
  });
});

it('100 requests that miss at once make one call', async () => {
  const edge = edgeUnderTest();
  const headers = await visitor(edge);
  await edge.backend({ retrieve: 'hold' });
  const answers = Promise.all(Array.from({ length: 100 }, () => edge.ads('q=shoes', { headers })));
  while ((await edge.told()).held === 0);
  await edge.release();
  const slots = (await answers).map((answer) => answer.slots.length);
  expect(new Set(slots)).toEqual(new Set([4]));
  expect((await edge.told()).retrieved.filter(({ query }) => query === 'shoes')).toHaveLength(1);
  expect(new Set(edge.queued.map(({ id }) => id)).size).toBe(101);
});

describe('the configuration', () => {
  it('is taken from the backend before the first answer', async () => {
    const edge = edgeUnderTest();
    await edge.backend({
      config: { ...config, version: 5, experiments: [] },
      news: { configVersion: 5, generation: 7 },
    });
    expect((await edge.ads('q=shoes')).assignments).toEqual([]);
    expect((await health(edge)).config).toMatchObject({ version: 5, source: 'backend', lastError: null });
  });

  it("is the second backend's where the first does not give it; where neither does, the reasons of both are said", async () => {
    const second = edgeUnderTest();
    const edge = edgeUnderTest({ BACKEND_SECOND_URL: second.bindings.BACKEND_URL });
    await edge.backend({ config: 'fail' });
    await second.backend({ config: { ...config, version: 5, experiments: [] } });
    expect((await edge.ads('q=shoes')).assignments).toEqual([]);
    expect((await health(edge)).config).toMatchObject({ version: 5, source: 'backend', lastError: null });
    await second.backend({ config: { ...config, version: 6 } });
    edge.later(5);
    expect((await edge.ads('q=shoes')).assignments).toHaveLength(1);
    await second.backend({ config: 'fail' });
    edge.later(5);
    await edge.ads('q=shoes');
    expect((await health(edge)).config).toMatchObject({
      version: 6,
      lastError: expect.stringMatching(/config.*; .*config/),
    });
  });

  it('is refused whole when broken, said so, and the last good one stays', async () => {
    const edge = edgeUnderTest();
    await edge.ads('q=shoes');
    const twice = [...DEFAULT_CONFIG.experiments, { ...DEFAULT_CONFIG.experiments[0]!, key: 'another' }];
    for (const [broken, reason] of [
      [{ ...config, version: 6, markets: [] }, 'markets'],
      [{ ...config, version: 6, killList: ['ad-5'], experiments: twice }, 'overlap'],
      [{ ...config, version: 6, killList: ['ad-5'], auction: { slots: 0 } }, 'auction'],
      [{ oops: true }, 'version'],
    ] as const) {
      await edge.backend({ config: broken, news: { configVersion: 6, generation: 7 } });
      edge.later(5);
      const answer = await edge.ads('q=shoes');
      expect(answer.slots[0]!.adId).toBe('ad-5');
      const state = await health(edge);
      expect(state).toMatchObject({ status: 'degraded', config: { version: 3 } });
      expect(state.config.lastError).toContain(reason);
    }
    expect((await health(edge)).config.refused).toBe(4);
    await edge.backend({ config: { ...config, version: 7 } });
    edge.later(5);
    await edge.ads('q=shoes');
    expect(await health(edge)).toMatchObject({ status: 'ok', config: { version: 7, lastError: null } });
  });

  it('is not asked for in a loop while a refused version is announced', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ config: { oops: true }, news: { configVersion: 9, generation: 7 } });
    for (let i = 0; i < 20; i++) await edge.ads(`q=shoes-${i}`);
    // At the start, and once more for the version that the answers speak of.
    expect((await edge.told()).configCalls).toBe(2);
  });

  it('never goes back to an older version', async () => {
    const edge = edgeUnderTest();
    await edge.ads('q=shoes');
    await edge.backend({ config: { ...config, version: 2, killList: ['ad-5'] } });
    edge.later(5);
    expect((await edge.ads('q=shoes')).slots[0]!.adId).toBe('ad-5');
    const { config: state } = await health(edge);
    expect(state).toMatchObject({ version: 3, refused: 1 });
    expect(state.lastError).toContain('version 2 is older than 3');
  });
});

it('the routes table, the document and the application agree', async () => {
  const edge = edgeUnderTest();
  const document = (await (await edge.fetch('/openapi.json')).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  expect(Object.keys(document.paths).sort()).toEqual(
    ['/', '/healthz', '/openapi.json', '/v1/ads', '/v1/click/{token}', '/v1/conversions', '/v1/reconcile'].sort(),
  );
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of Object.keys(methods)) {
      const response = await edge.fetch(path, { method: method.toUpperCase() });
      expect([404, 405]).not.toContain(response.status);
    }
  }
});

it('a wrong setting is named', () => {
  expect(() => edgeUnderTest({ BACKEND_URL: 'backend' })).toThrow('BACKEND_URL');
  expect(() => edgeUnderTest({ HARNESS_KEYS: 'short:1' })).toThrow('HARNESS_KEYS');
  expect(() => edgeUnderTest({ CACHE_SOFT_SECONDS: '-1' })).toThrow('CACHE_SOFT_SECONDS');
});
