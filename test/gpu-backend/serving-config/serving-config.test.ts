/** What edges serve by: a list that changed has another version, whoever changed it. */
import { expect, test } from 'vitest';
import { createAccounts } from '../../../gpu-backend/catalogue/accounts.ts';
import { createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { Eligibility } from '../../../gpu-backend/catalogue/eligibility.ts';
import { spend } from '../../../gpu-backend/catalogue/spend.ts';
import { reached } from '../../../gpu-backend/db/counters.ts';
import { generations } from '../../../gpu-backend/db/schema.ts';
import { openServingConfig } from '../../../gpu-backend/serving-config/serving-config.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';
import { openServerDatabase } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { clickOnBothDays, sampleAd } from '../../setup/samples.ts';

const database = useDatabase(openServerDatabase);

test('a budget that is lowered while clicks on it are being stored is used up under a version of its own', async () => {
  const { db } = database;
  const config = await openServingConfig(db, DEFAULT_CONFIG);
  const onKillListChange = async () => void (await config.refresh());
  const catalogue = createCatalogue({
    ...{ db, space: { spaceId: '0123456789abcdef', dimension: 4 }, onKillListChange },
    follow: async () => {},
  });
  const accounts = createAccounts({ db, eligibility: new Eligibility(), onKillListChange });
  await catalogue.put(sampleAd({ id: 'a', campaignId: 'c', dailyBudgetMicros: 1_000_000 }));
  await accounts.put('campaign', { id: 'c', advertiserId: 'x', status: 'active', dailyBudgetMicros: 1_000_000 });
  await db.insert(generations).values({
    ...{ number: 1, status: 'live', spaceId: '0', model: 'm', ads: 1, createdAt: new Date() },
    catalogueRevision: await reached(db, 'catalogue'),
  });
  const { version } = await config.refresh();

  await db.transaction(async (tx) => {
    await spend(tx, clickOnBothDays({ adId: 'a', chargeMicros: 600_000 }));
    // Neither sees what the other does.
    await catalogue.patch('a', { dailyBudgetMicros: 500_000 });
    await accounts.patch('campaign', 'c', { dailyBudgetMicros: 500_000 });
  });
  const after = await config.refresh();
  expect(after.killList).toEqual(['a', 'campaign/c']);
  expect(after.version).toBe(version + 1);
  expect((await config.refresh()).version).toBe(version + 1);
});

test('what a release brings is served under a version of its own, also by a backend of the release before', async () => {
  const { db } = database;
  const before = await openServingConfig(db, DEFAULT_CONFIG);
  const { version } = await before.refresh();
  expect((await openServingConfig(db, DEFAULT_CONFIG)).current().version).toBe(version);
  const plan = { ...DEFAULT_CONFIG.plan, k: 50 };
  const next = await openServingConfig(db, { ...DEFAULT_CONFIG, markets: ['us'], plan });
  expect(next.current()).toMatchObject({ version: version + 1, markets: ['us'], plan });
  expect(await before.refresh()).toEqual(next.current());
  // Rolled back, it is the later one.
  const again = await openServingConfig(db, DEFAULT_CONFIG);
  expect(again.current()).toMatchObject({ version: version + 2, plan: DEFAULT_CONFIG.plan });
});
