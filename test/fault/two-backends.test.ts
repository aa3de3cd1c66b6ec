/** Two backends on one real Postgres and one folder of generations: what one does, the other serves; one publishes at a time. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../gpu-backend/main.ts';
import { call, loadTestMarket, makeFolders, retrieval, start, TEST_ADS, type TestFolders } from '../setup/backend.ts';
import { type PostgresServer, startPostgresServer } from '../setup/postgres-server.ts';

const AD = TEST_ADS[0]!;
let server: PostgresServer;
let [one, two]: TestFolders[] = [];
let change: Record<string, string>;
const running: Backend[] = [];
let first: Backend;
let second: Backend;

const open = async (folders: TestFolders, more: Record<string, string> = {}) => {
  const backend = await start(folders, { ...change, ...more });
  running.push(backend);
  return backend;
};
const answers = async ({ url }: Backend, query = AD.title) => {
  const { body } = await call<{ generation: number; candidates: { adId: string }[] }>(url, 'POST /v1/retrieve', {
    body: retrieval(query),
  });
  return { generation: body.generation, ids: body.candidates?.map(({ adId }) => adId) };
};
const config = async ({ url }: Backend) =>
  (await call<{ version: number; generation: number; killList: string[] }>(url, 'GET /v1/config')).body;
const build = ({ url }: Backend) =>
  call<{ number?: number; code?: string }>(url, 'POST /v1/generations', { body: { action: 'build' } });

/** Waits for what a look of the follower brings; nothing is asserted about how long that takes. */
const eventually = <T>(read: () => Promise<T>) => expect.poll(read, { timeout: 60_000, interval: 50 });

beforeAll(async () => {
  [server, one, two] = await Promise.all([startPostgresServer(), makeFolders(), makeFolders()]);
  change = {
    ...{ DATABASE_URL: await server.createDatabase(), HARNESS_GENERATIONS: join(one!.data, 'shared') },
    ...{ HARNESS_REBUILD_MIN_ADS: '10', HARNESS_REBUILD_QUIET_S: '0' },
  };
  first = await open(one!);
  await loadTestMarket(first.url);
  second = await open(two!);
});
afterAll(async () => {
  for (const backend of running) await backend.stop();
  await server?.stop();
  for (const folders of [one, two]) folders?.remove();
});

describe('a second backend', () => {
  test('starts from the database and the folder alone', async () => {
    expect(await answers(second)).toEqual(await answers(first));
    expect((await answers(second)).ids).toContain(AD.id);
  });

  test('follows pauses, new ads and removals of the other, with the kill list', async () => {
    await call(first.url, `PATCH /v1/ads/${AD.id}`, { body: { status: 'paused' } });
    await eventually(async () => (await answers(second)).ids).not.toContain(AD.id);
    await eventually(async () => (await config(second)).killList).toContain(AD.id);
    const added = { ...AD, id: 'added', title: `${AD.title} added` };
    await call(first.url, 'PUT /v1/ads/added', { body: added });
    await eventually(async () => (await answers(second)).ids).toContain('added');
    await call(second.url, 'DELETE /v1/ads/added');
    await eventually(async () => (await answers(first)).ids).not.toContain('added');
    await call(second.url, `PATCH /v1/ads/${AD.id}`, { body: { status: 'active' } });
    await eventually(async () => (await answers(first)).ids).toContain(AD.id);
  });

  test('follows campaigns, advertisers and policy of the other', async () => {
    const found = async (backend: Backend) => (await answers(backend)).ids;
    const campaign = { id: AD.campaignId, advertiserId: AD.advertiserId, status: 'active' };
    const negatives = [{ text: AD.title, match: 'broad' }];
    await call(first.url, `PUT /v1/campaigns/${campaign.id}`, { body: { ...campaign, negatives } });
    await eventually(() => found(second)).not.toContain(AD.id);
    await call(second.url, `DELETE /v1/campaigns/${campaign.id}`);
    await eventually(() => found(first)).toContain(AD.id);
    const advertiser = { id: AD.advertiserId, status: 'active', policyFlags: ['spirits'] };
    await call(first.url, `PUT /v1/advertisers/${advertiser.id}`, { body: advertiser });
    await call(second.url, 'PUT /v1/policies/spirits', { body: { id: 'spirits' } });
    for (const backend of [first, second]) await eventually(() => found(backend)).not.toContain(AD.id);
    await call(first.url, 'DELETE /v1/policies/spirits');
    await eventually(() => found(second)).toContain(AD.id);
  });

  test('takes over the generation that the other publishes, whichever does', async () => {
    for (const [publisher, follower] of [
      [first, second],
      [second, first],
    ] as const) {
      const { number } = (await build(publisher)).body;
      await eventually(async () => (await answers(follower)).generation).toBe(number);
      expect((await config(follower)).generation).toBe(number);
    }
  });

  test('is refused a publication while the other publishes', async () => {
    let [a, b] = await Promise.all([build(first), build(second)]);
    // On a busy machine one may be through before the other begins.
    while (a.status === 201 && b.status === 201) [a, b] = await Promise.all([build(first), build(second)]);
    expect([a.status, b.status].sort()).toEqual([201, 409]);
    const refused = a.status === 409 ? a : b;
    expect(refused.body.code).toBe('conflict');
    const number = a.body.number ?? b.body.number;
    for (const backend of [first, second])
      await eventually(async () => (await answers(backend)).generation).toBe(number);
  });

  test('builds what is due once, whichever does, and both serve it', async () => {
    const before = (await config(first)).generation;
    const ads = TEST_ADS.slice(0, 12).map((ad) => ({ ...ad, id: `${ad.id}-too` }));
    await call(first.url, 'POST /v1/ads:batch', { body: { ads } });
    type Health = { rebuild: { state: string; last: { generation: number } | null } };
    const rebuild = async ({ url }: Backend) => (await call<Health>(url, 'GET /healthz')).body.rebuild;
    for (const backend of [first, second]) {
      await eventually(async () => (await answers(backend)).generation).toBe(before + 1);
      await eventually(async () => (await rebuild(backend)).state).toBe('fresh');
    }
    const published = (await Promise.all([first, second].map(rebuild))).map(({ last }) => last?.generation ?? null);
    expect(published.toSorted()).toEqual([before + 1, null]);
    expect((await answers(second)).ids).toContain(`${AD.id}-too`);
  });

  test('without the folder serves nothing, and says so', async () => {
    const alone = await makeFolders();
    const third = await open(alone, { HARNESS_GENERATIONS: '' });
    expect((await call(third.url, 'POST /v1/retrieve', { body: retrieval(AD.title) })).status).toBe(503);
    const failures = async () =>
      (await call<string>(third.url, 'GET /metrics')).body.match(/harness_follow_failures_total (\d+)/)?.[1];
    await eventually(failures).toBe('1');
    alone.remove();
  });
});
