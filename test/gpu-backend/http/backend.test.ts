/** The backend as its callers see it: every route, on a running service with its embedded database. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import type { Ad, AdBatchResult } from '../../../shared/contract/ads.ts';
import { ServingConfig } from '../../../shared/contract/config.ts';
import { ExperimentReport } from '../../../shared/contract/experiments.ts';
import { Generation, type GenerationList, type GenerationListPage } from '../../../shared/contract/generations.ts';
import { RetrieveResponse } from '../../../shared/contract/retrieve.ts';
import { BACKEND_ROUTES } from '../../../shared/contract/routes.ts';
import { DEFAULT_EXPERIMENT } from '../../../shared/defaults.ts';
import { call, loadTestMarket, retrieval, TEST_ADS } from '../../setup/backend.ts';
import { useBackend } from '../../setup/hooks.ts';
import { sampleAd, sampleClick, sampleExperiment, sampleImpression } from '../../setup/samples.ts';

const backend = useBackend({ market: false });

const retrieve = async (query: string, change: Parameters<typeof retrieval>[1] = {}) => {
  const answer = await call<RetrieveResponse>(backend.url, 'POST /v1/retrieve', { body: retrieval(query, change) });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return RetrieveResponse.parse(answer.body);
};
const found = async (query: string) => (await retrieve(query)).candidates.map(({ adId }) => adId);
const config = async () => ServingConfig.parse((await call(backend.url, 'GET /v1/config')).body);

describe('before the first generation', () => {
  test('the process is alive, and not ready', async () => {
    expect((await call(backend.url, 'GET /healthz', { unsigned: true })).body).toMatchObject({ status: 'degraded' });
    const ready = await call(backend.url, 'GET /readyz', { unsigned: true });
    expect([ready.status, ready.body.code, ready.headers.get('retry-after')]).toEqual([503, 'not_ready', '1']);
    const asked = await call(backend.url, 'POST /v1/retrieve', { body: retrieval('sofa') });
    expect([asked.status, asked.body.code]).toEqual([503, 'not_ready']);
  });

  test('an empty catalogue is not built', async () => {
    const built = await call(backend.url, 'POST /v1/generations', { body: { action: 'build' } });
    expect([built.status, built.body.code]).toEqual([409, 'conflict']);
  });
});

describe('with the market loaded', () => {
  beforeAll(() => loadTestMarket(backend.url));

  test('it is ready, and says on what it runs', async () => {
    const ready = await call(backend.url, 'GET /readyz', { unsigned: true });
    expect(ready.body).toMatchObject({
      status: 'ok',
      version: '0.1.0',
      generation: 1,
      database: 'pglite',
      device: { requested: 'cpu', provider: 'cpu' },
    });
  });

  test('a query is answered by words and by meaning, with where each candidate was found', async () => {
    const { candidates, generation, timings } = await retrieve('red sofa');
    expect(candidates[0]).toMatchObject({ adId: 'ad-0-0', title: 'red sofa', bidMicros: 100_000 });
    expect(candidates[0]!.sources.map(({ retriever }) => retriever).sort()).toEqual(['dense', 'lexical']);
    expect(generation).toBe((await config()).generation);
    expect(timings.totalMs).toBeGreaterThanOrEqual(timings.encodeMs);
    const plan = { retrievers: ['lexical' as const], k: 5, minRelevance: 0 };
    expect((await retrieve('couch', { plan })).candidates).toEqual([]);
    expect((await found('couch')).slice(0, 6).sort()).toEqual([0, 1, 2, 3, 4, 5].map((j) => `ad-0-${j}`));
  });

  test('every answer carries the news, refusals too', async () => {
    const { version, generation } = await config();
    for (const [route, unsigned] of [
      ['GET /v1/config', false],
      ['GET /v1/config', true],
      ['GET /nowhere', true],
    ] as const) {
      const { headers } = await call(backend.url, route, { unsigned });
      expect(headers.get('harness-config-version')).toBe(String(version));
      expect(headers.get('harness-generation')).toBe(String(generation));
      expect(headers.get('x-request-id')).toMatch(/^[\w-]{36}$/);
    }
    const { headers } = await call(backend.url, 'GET /healthz', { headers: { 'x-request-id': 'edge-1' } });
    expect(headers.get('x-request-id')).toBe('edge-1');
  });

  test('an ad is paused from the acknowledgement on, killed at the edges, and comes back', async () => {
    const before = await config();
    const paused = await call<Ad>(backend.url, 'PATCH /v1/ads/ad-1-0', { body: { status: 'paused' } });
    expect(paused.body).toEqual({ ...TEST_ADS.find(({ id }) => id === 'ad-1-0'), status: 'paused' });
    expect(await found('red car')).not.toContain('ad-1-0');
    const after = await config();
    expect(after.killList).toEqual(['ad-1-0']);
    expect(after.version).toBeGreaterThan(before.version);
    await call(backend.url, 'PATCH /v1/ads/ad-1-0', { body: { status: 'active' } });
    expect(await found('red car')).toContain('ad-1-0');
    expect((await config()).killList).toEqual([]);
  });

  test('an ad is created, replaced and removed', async () => {
    const ad = sampleAd({ id: 'ad:new', title: 'purple teapot', description: '' });
    expect((await call(backend.url, 'PUT /v1/ads/ad:new', { body: ad })).body).toEqual(ad);
    expect(await found('purple teapot')).toContain('ad:new');
    const other = { ...ad, title: 'orange kettle' };
    expect((await call(backend.url, 'PUT /v1/ads/ad%3Anew', { body: other })).status).toBe(200);
    expect((await found('orange kettle'))[0]).toBe('ad:new');
    expect(
      (await retrieve('purple teapot', { plan: { retrievers: ['lexical'], k: 5, minRelevance: 0 } })).candidates,
    ).toEqual([]);
    expect((await call(backend.url, 'DELETE /v1/ads/ad:new')).status).toBe(204);
    expect(await found('orange kettle')).not.toContain('ad:new');
    expect((await config()).killList).toEqual(['ad:new']);
    expect((await call(backend.url, 'DELETE /v1/ads/ad:new')).body).toMatchObject({ code: 'not_found' });
    expect((await call(backend.url, 'PUT /v1/ads/other', { body: ad })).body).toMatchObject({ code: 'bad_request' });
  });

  test('a batch reports its bad rows; the colon in its path is no parameter', async () => {
    const { status, body } = await call<AdBatchResult>(backend.url, 'POST /v1/ads:batch', {
      body: { ads: [sampleAd({ id: 'ad-ok', status: 'paused' }), sampleAd({ id: 'spaces in it' }), 7] },
    });
    expect([status, body.accepted, body.rejected.map(({ index }) => index)]).toEqual([200, 1, [1, 2]]);
    expect((await call(backend.url, 'POST /v1/ads:other', { body: {} })).status).toBe(404);
    expect((await call(backend.url, 'POST /v1/adsXbatch', { body: {} })).status).toBe(404);
  });

  test('a vector of another space is refused with both names', async () => {
    const vector = { spaceId: 'feedfeedfeedfeed', int8: 'AAAA' };
    const { status, body } = await call(backend.url, 'PUT /v1/ads/ad-v', {
      body: { ...sampleAd({ id: 'ad-v' }), vector },
    });
    expect([status, body.code]).toEqual([409, 'space_mismatch']);
    expect(body.detail).toContain('feedfeedfeedfeed');
  });

  test('a generation is built beside the live one, and brought back under a new number', async () => {
    const { generation: first } = await config();
    await call(backend.url, 'PATCH /v1/ads/ad-2-0', { body: { status: 'paused' } });
    const builds = await Promise.all(
      [1, 2].map(() => call(backend.url, 'POST /v1/generations', { body: { action: 'build' } })),
    );
    expect(builds.map(({ status }) => status).sort()).toEqual([201, 409]);
    const built = Generation.parse(builds.find(({ status }) => status === 201)!.body);
    expect(built).toMatchObject({ number: first! + 1, status: 'live', reason: null });
    // It was built without ad-2-0, but not the one before, by which another backend may still answer.
    expect(await config()).toMatchObject({ generation: built.number, killListSince: first });
    expect((await config()).killList).toContain('ad-2-0');
    expect(await found('red shoe')).not.toContain('ad-2-0');
    const back = await call(backend.url, 'POST /v1/generations', { body: { action: 'rollback', to: first } });
    expect([back.status, back.body.number]).toEqual([201, built.number + 1]);
    expect(await found('red shoe')).not.toContain('ad-2-0'); // ads are as the catalogue has them now
    expect(await config()).toMatchObject({ generation: back.body.number, killListSince: built.number, killList: [] });
    const { body } = await call<z.infer<typeof GenerationList>>(backend.url, 'GET /v1/generations');
    expect(body.live).toBe(built.number + 1);
    expect(body.generations.map(({ number, status }) => [number, status])).toEqual([
      [first, 'retired'],
      [built.number, 'retired'],
      [built.number + 1, 'live'],
    ]);
    const page = async (after: number) => {
      const { body } = await call<z.infer<typeof GenerationListPage>>(
        backend.url,
        `GET /v1/generations?limit=2&after=${after}`,
      );
      return [body.generations.map(({ number }) => number), body.next, body.live];
    };
    expect(await page(0)).toEqual([[first, built.number], built.number, built.number + 1]);
    expect(await page(built.number)).toEqual([[built.number + 1], null, built.number + 1]);
    const unknown = await call(backend.url, 'POST /v1/generations', {
      body: { action: 'rollback', to: 4_000_000_000 },
    });
    expect(unknown.body).toMatchObject({ code: 'not_found' });
    expect((await config()).generation).toBe(built.number + 1);
  });

  test('events go in once, and the report counts them', async () => {
    const events = [
      sampleImpression({ id: 'http-impression-1' }),
      sampleClick({ id: 'http-impression-1:1', impressionId: 'http-impression-1' }),
      { type: 'impression' },
    ];
    const stored = await call(backend.url, 'POST /v1/events', { body: { events } });
    expect(stored.body).toMatchObject({ stored: 2, duplicates: 0, rejected: [{ index: 2 }] });
    const again = await call(backend.url, 'POST /v1/events', { body: { events: events.slice(0, 2) } });
    expect(again.body).toEqual({ stored: 0, duplicates: 2, rejected: [] });
    const report = await call(backend.url, `GET /v1/experiments/${DEFAULT_EXPERIMENT}/report`, { unsigned: true });
    const treatment = ExperimentReport.parse(report.body).arms.find(({ arm }) => arm === 'treatment');
    expect(treatment).toEqual({ arm: 'treatment', units: 1, queries: 1 });
  });

  test('experiments are read by anyone, and changed by a signed call that the configuration then carries', async () => {
    const { version } = await config();
    const experiment = sampleExperiment();
    expect((await call(backend.url, 'PUT /v1/experiments/threshold', { body: experiment })).body).toEqual(experiment);
    expect((await call(backend.url, 'GET /v1/experiments/threshold', { unsigned: true })).body).toEqual(experiment);
    const changed = await config();
    expect(changed.version).toBe(version + 1);
    expect(changed.experiments).toContainEqual(experiment);
    const overlapping = sampleExperiment({ key: 'second' });
    const refused = await call(backend.url, 'PUT /v1/experiments/second', { body: overlapping });
    expect([refused.status, refused.body.code]).toEqual([409, 'conflict']);
    const misplaced = await call(backend.url, 'PUT /v1/experiments/third', { body: overlapping });
    expect(misplaced.body).toMatchObject({ code: 'bad_request' });
    expect((await call(backend.url, 'GET /v1/experiments/none', { unsigned: true })).status).toBe(404);
    expect((await call(backend.url, 'GET /v1/experiments/none/report', { unsigned: true })).status).toBe(404);
  });

  test('the dashboard and the metrics can be looked at', async () => {
    const dashboard = await call<string>(backend.url, 'GET /dashboard', { unsigned: true });
    expect(dashboard.headers.get('content-type')).toContain('text/html');
    expect(dashboard.body).toContain(DEFAULT_EXPERIMENT);
    const { body: metrics } = await call<string>(backend.url, 'GET /metrics', { unsigned: true });
    expect(metrics).toMatch(
      /harness_http_requests_total\{route="\/v1\/ads\/\{id\}",method="PATCH",status="200"\} [1-9]/,
    );
    expect(metrics).toMatch(/harness_events_total\{outcome="stored"\} [1-9]/);
    expect(metrics).toMatch(/harness_impressions_total\{rung="fresh"\} [1-9]/);
    expect(metrics).toContain('harness_encoder_device{requested="cpu",provider="cpu",precision="fp32"} 1');
    expect(metrics).toMatch(/harness_retrieval_seconds_count\{part="encode"\} [1-9]/);
    expect(metrics).toMatch(/harness_generation [1-9]/);
  });

  test('the document lists every route, and every route answers', async () => {
    const { body } = await call<{ paths: Record<string, Record<string, unknown>> }>(backend.url, 'GET /openapi.json');
    for (const { method, path, signed } of BACKEND_ROUTES) {
      expect(body.paths[path]).toHaveProperty(method);
      const sample = path.replace('{id}', 'ad-0-0').replace('{key}', DEFAULT_EXPERIMENT);
      const unsigned = await call(backend.url, `${method.toUpperCase()} ${sample}`, { unsigned: true });
      expect([path, unsigned.status]).toEqual([path, signed ? 401 : 200]);
    }
  });
});
