/** Generations that build themselves, on a running service: the index takes in what came, lets go of what went, and a failure leaves what serves. */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../../gpu-backend/main.ts';
import {
  call,
  loadTestMarket,
  makeFolders,
  retrieval,
  start,
  TEST_ADS,
  type TestFolders,
} from '../../setup/backend.ts';

let folders: TestFolders;
let backend: Backend;
beforeAll(async () => {
  folders = await makeFolders();
  backend = await start(folders, { HARNESS_REBUILD_MIN_ADS: '10', HARNESS_REBUILD_QUIET_S: '0' });
  await loadTestMarket(backend.url);
});
afterAll(async () => {
  await backend?.stop();
  folders?.remove();
});

const added = TEST_ADS.slice(0, 12).map((ad) => ({ ...ad, id: `${ad.id}-too` }));
const health = async () =>
  (
    await call<{ generation: number; rebuild: { state: string; last: Record<string, unknown> | null } }>(
      backend.url,
      'GET /healthz',
      { unsigned: true },
    )
  ).body;
const metric = async (name: string) => {
  const { body } = await call<string>(backend.url, 'GET /metrics', { unsigned: true });
  return Number(body.match(new RegExp(`^harness_${name} (\\S+)$`, 'm'))?.[1]);
};
const eventually = <T>(read: () => Promise<T>) => expect.poll(read, { timeout: 60_000, interval: 50 });
const found = async () => {
  const { body } = await call<{ candidates: { adId: string }[] }>(backend.url, 'POST /v1/retrieve', {
    body: retrieval('red sofa'),
  });
  return body.candidates.map(({ adId }) => adId);
};

test('ads that came are built in', async () => {
  expect((await health()).rebuild).toEqual({ state: 'fresh', last: null });
  expect(await metric('rebuild_ended_seconds')).toBeNaN();
  await call(backend.url, 'POST /v1/ads:batch', { body: { ads: added } });
  await eventually(async () => (await health()).rebuild.last).toMatchObject({
    ...{ because: 'added', outcome: 'published', generation: 2, reason: null },
  });
  expect((await health()).generation).toBe(2);
  expect(await found()).toContain('ad-0-0-too');
  expect(await Promise.all(['ads', 'ads_delta', 'rebuilds_added_total', 'rebuilds_failed_total'].map(metric))).toEqual([
    48, 0, 1, 0,
  ]);
  expect(await metric('rebuild_ended_seconds')).toBeGreaterThan(0);
});

test('ads that went are let go of', async () => {
  for (const { id } of added.slice(0, 11)) await call(backend.url, `DELETE /v1/ads/${id}`);
  await eventually(() => metric('rebuilds_gone_total')).toBe(1);
  expect((await health()).rebuild.last).toMatchObject({ because: 'gone', generation: 3 });
  await eventually(() => metric('ads_vacant')).toBeLessThan(10);
  expect(await found()).not.toContain('ad-0-0-too');
});

test('where no generation can be built the old one serves, and says why', async () => {
  const generations = join(folders.data, 'generations');
  renameSync(generations, `${generations}.away`);
  await call(backend.url, 'POST /v1/ads:batch', { body: { ads: added } });
  await eventually(() => metric('rebuilds_failed_total')).toBe(1);
  renameSync(`${generations}.away`, generations);
  const { generation, rebuild } = await health();
  expect(generation).toBe(3);
  expect(rebuild.last).toMatchObject({ outcome: 'failed', generation: null, reason: expect.stringMatching(/ENOENT/) });
  await eventually(async () => (await health()).rebuild.state).toBe('failed');
  expect(await found()).toContain('ad-0-0-too');
  // An operator need not wait for the next try.
  const built = await call(backend.url, 'POST /v1/generations', { body: { action: 'build' } });
  expect([built.status, built.body.status]).toEqual([201, 'live']);
  await eventually(async () => (await health()).rebuild.state).toBe('fresh');
});

test('what an operator brought back stays', async () => {
  const back = await call<{ number: number }>(backend.url, 'POST /v1/generations', {
    body: { action: 'rollback', to: 2 },
  });
  const more = added.map((ad) => ({ ...ad, id: `${ad.id}-again` }));
  await call(backend.url, 'POST /v1/ads:batch', { body: { ads: more } });
  await eventually(async () => (await health()).rebuild.state).toBe('brought back');
  expect((await health()).generation).toBe(back.body.number);
});

test('one that a start finds damaged is built anew, once', async () => {
  const { generation: damaged } = await health();
  await backend.stop();
  rmSync(join(folders.data, 'generations', String(damaged), 'ads.jsonl'));
  backend = await start(folders, { HARNESS_REBUILD_QUIET_S: '0' }); // a thousand new ads would be few
  await eventually(() => metric('rebuilds_damaged_total')).toBe(1);
  await eventually(async () => (await health()).rebuild.state).toBe('fresh');
  const { generation, rebuild } = await health();
  expect(generation).toBe(damaged + 2); // the old one's content under a new number, then the new one
  expect(rebuild.last).toMatchObject({ because: 'damaged', outcome: 'published', generation });
  expect(await metric('ads_delta')).toBe(0);
});
