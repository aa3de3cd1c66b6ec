/** Campaigns, advertisers and rules of policy through the API of a running service: what was acknowledged holds. */
import { expect, test } from 'vitest';
import type { Campaign } from '../../../shared/contract/accounts.ts';
import type { ServingConfig } from '../../../shared/contract/config.ts';
import type { RetrieveResponse } from '../../../shared/contract/retrieve.ts';
import type { KillListAnswer } from '../../../shared/contract/takedown.ts';
import { call, retrieval, TEST_ADS } from '../../setup/backend.ts';
import { useBackend } from '../../setup/hooks.ts';
import { clickOnBothDays } from '../../setup/samples.ts';

const backend = useBackend();

const [ad] = TEST_ADS;
const { campaignId: id, advertiserId } = ad!;
const campaign: Campaign = { id, advertiserId, status: 'active' };
const candidate = async () => {
  const { body } = await call<RetrieveResponse>(backend.url, 'POST /v1/retrieve', { body: retrieval(ad!.title) });
  return body.candidates.find(({ adId }) => adId === ad!.id);
};
const killList = async () => (await call<ServingConfig>(backend.url, 'GET /v1/config')).body.killList;

test('a campaign is created, found, changed and removed, and its ads follow', async () => {
  expect((await call(backend.url, `GET /v1/campaigns/${id}`)).body.code).toBe('not_found');
  expect((await call(backend.url, `PUT /v1/campaigns/${id}`, { body: campaign })).body).toEqual(campaign);
  expect((await call(backend.url, 'GET /v1/campaigns')).body).toEqual({ campaigns: [campaign], next: null });
  expect(await candidate()).toBeDefined();
  const paused = await call<Campaign>(backend.url, `PATCH /v1/campaigns/${id}`, { body: { status: 'paused' } });
  expect(paused.body).toEqual({ ...campaign, status: 'paused' });
  expect([await candidate(), await killList()]).toEqual([undefined, [`campaign/${id}`]]);
  const listFor = async (query: string) =>
    (await call<KillListAnswer>(backend.url, `GET /v1/kill-list${query}`)).body as KillListAnswer & { code?: string };
  const { adIds, ...rest } = await listFor('');
  expect(adIds).toEqual([`campaign/${id}`]);
  expect(await listFor(`?have=${rest.version}`)).toEqual(rest);
  expect(await listFor(`?have=${rest.version - 1}`)).toEqual({ ...rest, adIds });
  for (const query of ['?have=', '?have=x', '?have=-1', '?have=1.5'])
    expect((await listFor(query)).code).toBe('bad_request');
  const schedule = { timeZone: 'Europe/London', endsAt: '2099-01-01T00:00:00Z' };
  await call(backend.url, `PATCH /v1/campaigns/${id}`, { body: { status: 'active', devices: ['mobile'], schedule } });
  expect(await candidate()).toMatchObject({ devices: ['mobile'], schedule });
  expect(await killList()).toEqual([]);
  expect((await call(backend.url, `PUT /v1/campaigns/other`, { body: campaign })).body.code).toBe('bad_request');
  expect(
    (await call(backend.url, `PATCH /v1/campaigns/${id}`, { body: { schedule: { timeZone: 'Mars' } } })).status,
  ).toBe(400);
  expect((await call(backend.url, `DELETE /v1/campaigns/${id}`)).status).toBe(204);
  expect((await call(backend.url, `DELETE /v1/campaigns/${id}`)).body.code).toBe('not_found');
});

test('lists come in pages', async () => {
  const flags = ['a', 'b', 'c'].map((flag) => ({ id: flag, blockedIn: ['gb'] }));
  for (const rule of flags) await call(backend.url, `PUT /v1/policies/${rule.id}`, { body: rule });
  const page = async (query: string) => (await call(backend.url, `GET /v1/policies${query && `?${query}`}`)).body;
  expect(await page('')).toEqual({ rules: flags, next: null });
  expect(await page('limit=2')).toEqual({ rules: flags.slice(0, 2), next: 'b' });
  expect(await page('limit=2&after=b')).toEqual({ rules: flags.slice(2), next: null });
  for (const wrong of ['limit=0', 'limit=10001', 'limit=x', 'after=%00', 'after='])
    expect([wrong, (await page(wrong)).code]).toEqual([wrong, 'bad_request']);
  expect((await page('limit=0')).detail).toBe('query.limit: expected a number of entries from 1 to 10000, got 0');
  for (const { id: flag } of flags) await call(backend.url, `DELETE /v1/policies/${flag}`);
});

test('rules of policy and advertisers hold, and need a signature', async () => {
  const flagged = { id: advertiserId, status: 'active', policyFlags: ['alcohol'] };
  await call(backend.url, `PUT /v1/advertisers/${advertiserId}`, { body: flagged });
  expect(await candidate()).toBeDefined();
  expect(
    (await call(backend.url, 'PUT /v1/policies/alcohol', { body: { id: 'alcohol', blockedIn: ['us'] } })).status,
  ).toBe(200);
  expect(await candidate()).toBeUndefined();
  await call(backend.url, 'DELETE /v1/policies/alcohol');
  expect(await candidate()).toBeDefined();
  expect(
    (await call(backend.url, `PATCH /v1/advertisers/${advertiserId}`, { body: { status: 'blocked' } })).status,
  ).toBe(200);
  expect(await candidate()).toBeUndefined();
  expect((await call(backend.url, 'GET /v1/policies', { unsigned: true })).status).toBe(401);
  await call(backend.url, `DELETE /v1/advertisers/${advertiserId}`);
});

test('an exhausted campaign is out from the acknowledgement of the click, and back with a raised budget', async () => {
  await call(backend.url, `PUT /v1/campaigns/${id}`, { body: { ...campaign, dailyBudgetMicros: 500_000 } });
  const events = clickOnBothDays({ adId: ad!.id, chargeMicros: 500_000 });
  await call(backend.url, 'POST /v1/events', { body: { events } });
  expect([await killList(), await candidate()]).toEqual([[`campaign/${id}`], undefined]);
  await call(backend.url, `PATCH /v1/campaigns/${id}`, { body: { dailyBudgetMicros: 600_000 } });
  expect(await killList()).toEqual([]);
  expect(await candidate()).toBeDefined();
});
