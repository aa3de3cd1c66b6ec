/** What edges serve by: a list that changed has another version, whoever changed it. */
import { sql } from 'drizzle-orm';
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

test('whoever asks again and again is given the copy, and what raised the version at once', async () => {
  const { db } = database;
  const config = await openServingConfig(db, DEFAULT_CONFIG, { untoldMs: 1e9 });
  const other = await openServingConfig(db, DEFAULT_CONFIG);
  const accounts = createAccounts({
    ...{ db, eligibility: new Eligibility() },
    onKillListChange: async () => void (await other.refresh()),
  });
  const untold = (id: string) =>
    db.execute(sql`update accounts set status = 'paused' where kind = 'campaign' and id = ${id}`);
  for (const id of ['d', 'e', 'f'])
    await accounts.put('campaign', { id, advertiserId: 'x', status: 'active', dailyBudgetMicros: 1_000_000 });

  await untold('d');
  const looked = await config.confirm();
  expect(looked.killList).toContain('campaign/d');
  expect(await config.confirm()).toBe(looked);
  await untold('e');
  expect(await config.confirm()).toBe(looked);
  await accounts.patch('campaign', 'f', { status: 'paused' });
  const { version, killList } = await config.confirm();
  expect(killList).toEqual(expect.arrayContaining(['campaign/d', 'campaign/e', 'campaign/f']));
  expect(version).toBe(await reached(db, 'config'));
});

test('of changes side by side each is in the configuration when it is acknowledged', async () => {
  const { db } = database;
  const config = await openServingConfig(db, DEFAULT_CONFIG);
  const onKillListChange = async () => void (await config.refresh());
  const accounts = createAccounts({ db, eligibility: new Eligibility(), onKillListChange });
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const id = `many-${i}`;
      await accounts.put('campaign', { id, advertiserId: 'x', status: 'paused' });
      expect(config.current().killList).toContain(`campaign/${id}`);
    }),
  );
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
