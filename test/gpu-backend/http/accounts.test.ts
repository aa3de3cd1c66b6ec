/** Campaigns, advertisers and rules of policy through the API of a running service: what was acknowledged holds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../../gpu-backend/main.ts';
import type { Campaign } from '../../../shared/contract/accounts.ts';
import type { ServingConfig } from '../../../shared/contract/config.ts';
import type { RetrieveResponse } from '../../../shared/contract/retrieve.ts';
import {
  call,
  loadTestMarket,
  makeFolders,
  retrieval,
  start,
  TEST_ADS,
  type TestFolders,
} from '../../setup/backend.ts';
import { DATABASE_TIMEOUT_MS } from '../../setup/databases.ts';
import { sampleClick } from '../../setup/samples.ts';

let folders: TestFolders;
let backend: Backend;
let url: string;
beforeAll(async () => {
  folders = await makeFolders();
  backend = await start(folders);
  url = backend.url;
  await loadTestMarket(url);
}, DATABASE_TIMEOUT_MS);
afterAll(async () => {
  await backend?.stop();
  folders?.remove();
});

const [ad] = TEST_ADS;
const { campaignId: id, advertiserId } = ad!;
const campaign: Campaign = { id, advertiserId, status: 'active' };
const candidate = async () => {
  const { body } = await call<RetrieveResponse>(url, 'POST /v1/retrieve', { body: retrieval(ad!.title) });
  return body.candidates.find(({ adId }) => adId === ad!.id);
};
const killList = async () => (await call<ServingConfig>(url, 'GET /v1/config')).body.killList;

test('a campaign is created, found, changed and removed, and its ads follow', async () => {
  expect((await call(url, `GET /v1/campaigns/${id}`)).body.code).toBe('not_found');
  expect((await call(url, `PUT /v1/campaigns/${id}`, { body: campaign })).body).toEqual(campaign);
  expect((await call(url, 'GET /v1/campaigns')).body).toEqual({ campaigns: [campaign] });
  expect(await candidate()).toBeDefined();
  const paused = await call<Campaign>(url, `PATCH /v1/campaigns/${id}`, { body: { status: 'paused' } });
  expect(paused.body).toEqual({ ...campaign, status: 'paused' });
  expect([await candidate(), await killList()]).toEqual([undefined, [`campaign/${id}`]]);
  const schedule = { timeZone: 'Europe/London', endsAt: '2099-01-01T00:00:00Z' };
  await call(url, `PATCH /v1/campaigns/${id}`, { body: { status: 'active', devices: ['mobile'], schedule } });
  expect(await candidate()).toMatchObject({ devices: ['mobile'], schedule });
  expect(await killList()).toEqual([]);
  expect((await call(url, `PUT /v1/campaigns/other`, { body: campaign })).body.code).toBe('bad_request');
  expect((await call(url, `PATCH /v1/campaigns/${id}`, { body: { schedule: { timeZone: 'Mars' } } })).status).toBe(400);
  expect((await call(url, `DELETE /v1/campaigns/${id}`)).status).toBe(204);
  expect((await call(url, `DELETE /v1/campaigns/${id}`)).body.code).toBe('not_found');
});

test('rules of policy and advertisers hold, and need a signature', async () => {
  const flagged = { id: advertiserId, status: 'active', policyFlags: ['alcohol'] };
  await call(url, `PUT /v1/advertisers/${advertiserId}`, { body: flagged });
  expect(await candidate()).toBeDefined();
  expect((await call(url, 'PUT /v1/policies/alcohol', { body: { id: 'alcohol', blockedIn: ['us'] } })).status).toBe(
    200,
  );
  expect(await candidate()).toBeUndefined();
  await call(url, 'DELETE /v1/policies/alcohol');
  expect(await candidate()).toBeDefined();
  expect((await call(url, `PATCH /v1/advertisers/${advertiserId}`, { body: { status: 'blocked' } })).status).toBe(200);
  expect(await candidate()).toBeUndefined();
  expect((await call(url, 'GET /v1/policies', { unsigned: true })).status).toBe(401);
  await call(url, `DELETE /v1/advertisers/${advertiserId}`);
});

test('an exhausted campaign is out from the acknowledgement of the click, and back with a raised budget', async () => {
  await call(url, `PUT /v1/campaigns/${id}`, { body: { ...campaign, dailyBudgetMicros: 500_000 } });
  const click = sampleClick({ adId: ad!.id, chargeMicros: 500_000, atMs: Date.now() });
  await call(url, 'POST /v1/events', { body: { events: [click] } });
  expect([await killList(), await candidate()]).toEqual([[`campaign/${id}`], undefined]);
  await call(url, `PATCH /v1/campaigns/${id}`, { body: { dailyBudgetMicros: 600_000 } });
  expect(await killList()).toEqual([]);
  expect(await candidate()).toBeDefined();
});
