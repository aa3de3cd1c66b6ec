/** Campaigns, advertisers and rules of policy on both databases: what queries meet, the kill list, and budgets of the day. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Accounts, createAccounts, loadEligibility } from '../../../gpu-backend/catalogue/accounts.ts';
import { createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { type AccountChange, Eligibility } from '../../../gpu-backend/catalogue/eligibility.ts';
import { killList } from '../../../gpu-backend/catalogue/kill-list.ts';
import { forgetPastDays } from '../../../gpu-backend/catalogue/spend.ts';
import type { Database } from '../../../gpu-backend/db/connect.ts';
import { reached } from '../../../gpu-backend/db/counters.ts';
import { generations } from '../../../gpu-backend/db/schema.ts';
import { ingest } from '../../../gpu-backend/events/ingest.ts';
import type { Campaign } from '../../../shared/contract/accounts.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { clickOnBothDays, sampleAd } from '../../setup/samples.ts';

const NOW = Date.parse('2026-01-12T08:30:00Z'); // a Monday
const campaign = (change: Partial<Campaign> = {}): Campaign => ({
  id: 'campaign-1',
  advertiserId: 'advertiser-1',
  status: 'active',
  ...change,
});
const ad = sampleAd();
const asked = { query: 'running shoes', market: 'us', locale: 'en-US' };

describe.each(DATABASES)('accounts on the %s database', (_name, open) => {
  const database = useDatabase(open);
  let db: Database;
  let eligibility: Eligibility;
  let accounts: Accounts;
  let changes: number;
  beforeEach(async () => {
    ({ db } = database);
    changes = 0;
    await db.execute(sql.raw('truncate ads, ad_spend, account_spend, accounts, generations, clicks, counters'));
    eligibility = new Eligibility({ now: () => NOW });
    accounts = createAccounts({ db, eligibility, onKillListChange });
    const catalogue = createCatalogue({
      db,
      space: { spaceId: '0123456789abcdef', dimension: 4 },
      follow: async () => undefined,
      onKillListChange,
    });
    await catalogue.putMany(['a', 'b'].map((id) => sampleAd({ id })));
    const catalogueRevision = await reached(db, 'catalogue');
    const createdAt = new Date();
    await db
      .insert(generations)
      .values({ number: 1, status: 'live', spaceId: '0', model: 'm', ads: 2, createdAt, catalogueRevision });
  });
  const onKillListChange = async () => void changes++;
  const shown = (change: Partial<typeof asked> = {}) => eligibility.admits({ ...asked, ...change })(ad);

  test('come in pages by id, of their kind alone, though some go meanwhile', async () => {
    const ids = ['Z', 'b', 'b:2', 'b_1', 'c', 'd'];
    for (const id of ids) await accounts.put('policy', { id });
    await accounts.put('advertiser', { id: 'bb', status: 'active' });
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await accounts.list('policy', { limit: 2, ...(after !== undefined && { after }) });
      expect(page.entries.length).toBeLessThanOrEqual(2);
      seen.push(...page.entries.map(({ id }) => id));
      after = page.next ?? undefined;
      if (after !== undefined) await accounts.remove('policy', after); // the next page begins behind what is no more
    } while (after !== undefined);
    expect(seen.toSorted()).toEqual(ids.toSorted());
    const { entries, next } = await accounts.list('policy', { limit: 3 });
    expect([entries.length, next]).toEqual([3, entries.at(-1)!.id]);
    const rest = await accounts.list('policy', { limit: 3, after: next! });
    expect([rest.entries.length, rest.next]).toEqual([1, null]);
    for (const { id } of [...entries, ...rest.entries]) await accounts.remove('policy', id);
  });

  test('give back what was put, by id, and hold from then on', async () => {
    expect(await accounts.put('campaign', campaign({ status: 'paused' }))).toEqual(campaign({ status: 'paused' }));
    expect(shown()).toBe(false);
    expect(await accounts.patch('campaign', 'campaign-1', { status: 'active', name: 'Spring' })).toEqual(
      campaign({ name: 'Spring' }),
    );
    expect(shown()).toBe(true);
    await accounts.put('campaign', campaign({ id: 'a' }));
    const all = await accounts.list('campaign', { limit: 9 });
    expect([all.entries.map(({ id }) => id), all.next]).toEqual([['a', 'campaign-1'], null]);
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'blocked' });
    expect([shown(), await accounts.get('advertiser', 'advertiser-1')]).toEqual([
      false,
      { id: 'advertiser-1', status: 'blocked' },
    ]);
    await accounts.remove('advertiser', 'advertiser-1');
    expect(shown()).toBe(true);
    for (const call of [
      () => accounts.get('advertiser', 'advertiser-1'),
      () => accounts.remove('advertiser', 'advertiser-1'),
      () => accounts.patch('campaign', 'b', {}),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'not_found' });
    await expect(accounts.put('campaign', campaign({ name: '\0' }))).rejects.toMatchObject({ code: 'bad_request' });
    const patch = { name: 'half a \ud83d pair' };
    await expect(accounts.patch('campaign', 'campaign-1', patch)).rejects.toMatchObject({ code: 'bad_request' });
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'paused' }); // again
    expect([shown(), (await accounts.get('advertiser', 'advertiser-1')).status]).toEqual([false, 'paused']);
  });

  test('are all there again after a start', async () => {
    await accounts.put('campaign', campaign({ negatives: [{ text: 'running', match: 'broad' }] }));
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'paused' });
    await accounts.remove('advertiser', 'advertiser-1');
    await accounts.put('policy', { id: 'adult' });
    eligibility = new Eligibility({ now: () => NOW });
    await loadEligibility(db, eligibility);
    expect([shown(), shown({ query: 'shoes' })]).toEqual([false, true]);
    expect(eligibility.admits({ ...asked, query: 'shoes' })(sampleAd({ policyFlags: ['adult'] }))).toBe(false);
  });

  test('are brought up to what came after a revision, and that alone is read', async () => {
    await accounts.put('campaign', campaign({ status: 'paused' }));
    const since = await reached(db, 'catalogue');
    await accounts.put('advertiser', { id: 'advertiser-2', status: 'paused' });
    eligibility = new Eligibility({ now: () => NOW });
    await loadEligibility(db, eligibility, since);
    expect(shown()).toBe(true);
    expect(eligibility.admits(asked)({ ...ad, advertiserId: 'advertiser-2' })).toBe(false);
    await loadEligibility(db, eligibility, since - 1);
    expect(shown()).toBe(false);
  });

  test('of one id are apart: a campaign is not the advertiser', async () => {
    const negatives = [{ text: 'running', match: 'broad' as const }];
    await accounts.put('campaign', campaign({ id: 'one', dailyBudgetMicros: 1_000_000, negatives }));
    await accounts.put('advertiser', { id: 'one', status: 'active', dailyBudgetMicros: 1_000 });
    await db.execute(sql`update ads set campaign_id = 'one'`);
    await ingest(clickOnBothDays({ id: 'click-0:1', adId: 'a', chargeMicros: 1_000 }), { db, onKillListChange });
    expect(await killList(db)).toEqual([]);
    const ofCampaign = (query: string) => eligibility.admits({ ...asked, query })({ ...ad, campaignId: 'one' });
    expect([ofCampaign('running shoes'), ofCampaign('shoes')]).toEqual([false, true]);
    await accounts.patch('campaign', 'one', { status: 'paused' });
    expect(await killList(db)).toEqual(['campaign/one']);
    expect(ofCampaign('shoes')).toBe(false);
    expect(eligibility.admits(asked)({ ...ad, campaignId: 'other', advertiserId: 'one' })).toBe(true);
  });

  test('a pause after the snapshot is one entry of the kill list, told once; a removal ends it', async () => {
    await accounts.put('campaign', campaign());
    expect([await killList(db), changes]).toEqual([[], 0]);
    await accounts.patch('campaign', 'campaign-1', { status: 'paused' });
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'blocked' });
    expect([await killList(db), changes, await reached(db, 'config')]).toEqual([
      ['advertiser/advertiser-1', 'campaign/campaign-1'],
      2,
      2,
    ]);
    await accounts.patch('campaign', 'campaign-1', { name: 'Spring' });
    expect(changes).toBe(2);
    await accounts.remove('campaign', 'campaign-1');
    expect([await killList(db), changes]).toEqual([['advertiser/advertiser-1'], 3]);
  });

  test('a pause before the snapshot is none of its business', async () => {
    await accounts.put('campaign', campaign({ status: 'paused' }));
    expect(await killList(db)).toEqual(['campaign/campaign-1']);
    await db.update(generations).set({ catalogueRevision: await reached(db, 'catalogue') });
    expect(await killList(db)).toEqual([]);
  });

  test('a rule of policy takes its flag out of cached lists, in its markets', async () => {
    await accounts.put('policy', { id: 'adult' });
    await accounts.put('policy', { id: 'alcohol', blockedIn: ['us', 'gb'] });
    expect([await killList(db), changes]).toEqual([['gb/policy/alcohol', 'policy/adult', 'us/policy/alcohol'], 2]);
    await accounts.put('policy', { id: 'alcohol', blockedIn: ['us'] });
    expect([await killList(db), changes]).toEqual([['policy/adult', 'us/policy/alcohol'], 3]);
    await accounts.remove('policy', 'adult');
    expect([await killList(db), changes]).toEqual([['us/policy/alcohol'], 4]);
    await db.update(generations).set({ catalogueRevision: await reached(db, 'catalogue') });
    expect(await killList(db)).toEqual([]);
  });

  test('that are given a flag under a rule leave cached lists where the rule holds', async () => {
    await accounts.put('campaign', campaign());
    await accounts.put('policy', { id: 'alcohol', blockedIn: ['us'] });
    await accounts.put('policy', { id: 'adult' });
    await db.update(generations).set({ catalogueRevision: await reached(db, 'catalogue') });
    const before = changes;
    await accounts.patch('campaign', 'campaign-1', { policyFlags: ['food'] });
    expect([await killList(db), changes - before]).toEqual([[], 0]);
    await accounts.patch('campaign', 'campaign-1', { policyFlags: ['food', 'alcohol'] });
    expect([await killList(db), changes - before]).toEqual([['us/campaign/campaign-1'], 1]);
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'active', policyFlags: ['adult'] });
    expect([await killList(db), changes - before]).toEqual([['advertiser/advertiser-1', 'us/campaign/campaign-1'], 2]);
    await accounts.patch('campaign', 'campaign-1', { policyFlags: [] });
    expect([await killList(db), changes - before]).toEqual([['advertiser/advertiser-1'], 3]);
  });

  test('a budget of nothing is as good as a pause', async () => {
    await accounts.put('campaign', campaign({ dailyBudgetMicros: 0 }));
    expect([await killList(db), changes, shown()]).toEqual([['campaign/campaign-1'], 1, false]);
    await accounts.patch('campaign', 'campaign-1', { dailyBudgetMicros: 1 });
    expect([await killList(db), changes, shown()]).toEqual([[], 2, true]);
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'active', dailyBudgetMicros: 0 });
    expect([await killList(db), changes, shown()]).toEqual([['advertiser/advertiser-1'], 3, false]);
  });

  test('a budget is that of all its ads together, and used up means out', async () => {
    await accounts.put('campaign', campaign({ dailyBudgetMicros: 1_000_000 }));
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'active', dailyBudgetMicros: 1_500_000 });
    let clicks = 0;
    const click = (adId: string, chargeMicros: number) =>
      clickOnBothDays({ id: `click-${++clicks}:1`, adId, chargeMicros });
    const store = (...events: ReturnType<typeof click>[]) => ingest(events.flat(), { db, onKillListChange });
    await store(click('a', 600_000), click('nobody', 9_000_000));
    expect([await killList(db), changes]).toEqual([[], 0]);
    await store(click('b', 400_000));
    expect([await killList(db), changes]).toEqual([['campaign/campaign-1'], 1]);
    await Promise.all([store(click('b', 200_000), click('a', 50_000)), store(click('a', 200_000), click('b', 50_000))]);
    expect([await killList(db), changes]).toEqual([['advertiser/advertiser-1', 'campaign/campaign-1'], 2]);
    await accounts.patch('campaign', 'campaign-1', { dailyBudgetMicros: 2_000_000 });
    expect([await killList(db), changes]).toEqual([['advertiser/advertiser-1'], 3]);
    await forgetPastDays(db);
    expect(await killList(db)).toEqual(['advertiser/advertiser-1']);
    await accounts.remove('advertiser', 'advertiser-1');
    expect([await killList(db), changes]).toEqual([[], 4]);
    await accounts.put('advertiser', { id: 'advertiser-1', status: 'active', dailyBudgetMicros: 1_500_000 });
    expect(await killList(db)).toEqual(['advertiser/advertiser-1']);
    await db.execute(sql`update account_spend set day = day - 2`);
    expect(await killList(db)).toEqual([]);
    await db.execute(sql`update ad_spend set day = day - 2`);
    expect([await forgetPastDays(db), await killList(db)]).toEqual([true, []]);
    expect(await db.execute(sql`select * from account_spend`)).toHaveLength(0);
  });
});

describe('eligibility', () => {
  const of = (change: Partial<Campaign>, ...more: Parameters<Eligibility['apply']>[0][]) => {
    const eligibility = new Eligibility({ now: () => NOW });
    for (const one of [
      { kind: 'campaign', id: 'campaign-1', revision: 1, account: campaign(change) } as const,
      ...more,
    ])
      eligibility.apply(one);
    return eligibility;
  };
  const admits = (eligibility: Eligibility, change: Partial<typeof asked> = {}, own = ad) =>
    eligibility.admits({ ...asked, ...change })(own);

  test('are a conjunction: what the ad, its campaign, its advertiser and the rules let', () => {
    expect(admits(new Eligibility())).toBe(true);
    expect(admits(of({ markets: ['gb'] }))).toBe(false);
    expect(admits(of({ markets: ['gb'] }), { market: 'gb' })).toBe(true);
    const german = of({ languages: ['de'] });
    expect([admits(german), admits(german, { locale: 'de-AT' }), admits(german, { locale: 'DE' })]).toEqual([
      false,
      true,
      true,
    ]);
    expect(admits(of({ markets: [], languages: [] }))).toBe(true);
    const both = sampleAd({ languages: ['en', 'de'] });
    expect([admits(german, { locale: 'de' }, both), admits(german, { locale: 'en' }, both)]).toEqual([true, false]);
    expect(admits(of({}), { locale: 'fr' }, both)).toBe(false);
    const rule: AccountChange = {
      kind: 'policy',
      id: 'alcohol',
      revision: 1,
      account: { id: 'alcohol', blockedIn: ['us'] },
    };
    expect([admits(of({ policyFlags: ['alcohol'] })), admits(of({ policyFlags: ['alcohol'] }, rule))]).toEqual([
      true,
      false,
    ]);
    expect(admits(of({ policyFlags: ['alcohol'] }, rule), { market: 'gb' })).toBe(true);
    for (const policyFlags of [['alcohol'], ['alcohol', 'adult'], ['adult', 'alcohol']])
      expect(admits(of({}, rule), {}, sampleAd({ policyFlags }))).toBe(false);
    const lifted = { ...rule, revision: 2, account: undefined };
    expect(admits(of({ policyFlags: ['alcohol'] }, rule, lifted))).toBe(true);
    const flagged = { id: 'advertiser-1', status: 'active' as const, policyFlags: ['alcohol'] };
    expect(admits(of({}, rule, { kind: 'advertiser', id: 'advertiser-1', revision: 2, account: flagged }))).toBe(false);
  });

  test('leave out what does not open soon, and the rest to the edge', () => {
    const at = (from: string) => of({ schedule: { timeZone: 'UTC', hours: [{ days: [1], from, to: '23:00' }] } });
    expect([admits(at('09:00')), admits(at('09:30')), admits(at('09:45'))]).toEqual([true, true, false]);
    expect(at('09:00').shownUnder(ad)).toEqual({
      schedule: { timeZone: 'UTC', hours: [{ days: [1], from: '09:00', to: '23:00' }] },
    });
    expect(of({ devices: ['mobile', 'tablet'] }).shownUnder(sampleAd({ devices: ['tablet', 'desktop'] }))).toEqual({
      devices: ['tablet'],
    });
    expect(of({ devices: ['mobile'] }).shownUnder(sampleAd({ devices: ['desktop'] }))).toEqual({ devices: [] });
    expect(of({ devices: ['mobile'] }).shownUnder(ad)).toEqual({ devices: ['mobile'] });
    expect(of({ devices: [] }).shownUnder(sampleAd({ devices: ['desktop'] }))).toEqual({ devices: ['desktop'] });
    expect(of({ devices: [] }).shownUnder(ad)).toEqual({});
    const advertiser = { id: 'advertiser-1', status: 'active' as const, policyFlags: ['adult', 'loans'] };
    const flagged = of(
      { policyFlags: ['alcohol', 'adult'] },
      { kind: 'advertiser', id: 'advertiser-1', revision: 1, account: advertiser },
    );
    expect(flagged.shownUnder(sampleAd({ policyFlags: ['tobacco'] }))).toEqual({
      policyFlags: ['tobacco', 'alcohol', 'adult', 'loans'],
    });
    const byAdvertiser = of({}, { kind: 'advertiser', id: 'advertiser-1', revision: 1, account: advertiser });
    expect(byAdvertiser.shownUnder(ad)).toEqual({ policyFlags: ['adult', 'loans'] });
    expect(of({ policyFlags: ['alcohol'] }).shownUnder(ad)).toEqual({ policyFlags: ['alcohol'] });
    expect(of({}).shownUnder(sampleAd({ policyFlags: ['tobacco'] }))).toEqual({ policyFlags: ['tobacco'] });
    expect(of({ policyFlags: [] }).shownUnder(sampleAd({ policyFlags: [] }))).toEqual({});
  });

  test('ignore what comes too late', () => {
    const eligibility = of({ status: 'paused' });
    eligibility.apply({ kind: 'campaign', id: 'campaign-1', revision: 3, account: undefined });
    for (const revision of [2, 3])
      eligibility.apply({ kind: 'campaign', id: 'campaign-1', revision, account: campaign({ status: 'blocked' }) });
    expect(admits(eligibility)).toBe(true);
    // Of an advertiser of that id something newer is known.
    eligibility.apply({
      kind: 'advertiser',
      id: 'campaign-1',
      revision: 9,
      account: { id: 'campaign-1', status: 'active' },
    });
    eligibility.apply({ kind: 'campaign', id: 'campaign-1', revision: 4, account: campaign({ status: 'blocked' }) });
    expect(admits(eligibility)).toBe(false);
  });
});
