/** Budgets of the day, on both databases: what clicks spend, when an ad is on the kill list, and when it leaves. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, test } from 'vitest';
import { createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { killList } from '../../../gpu-backend/catalogue/kill-list.ts';
import { forgetPastDays, untilMidnight } from '../../../gpu-backend/catalogue/spend.ts';
import { type Database, rows } from '../../../gpu-backend/db/connect.ts';
import { raise, reached } from '../../../gpu-backend/db/counters.ts';
import { generations } from '../../../gpu-backend/db/schema.ts';
import { ingest } from '../../../gpu-backend/events/ingest.ts';
import type { ClickEvent } from '../../../shared/contract/events.ts';
import { uniforms } from '../../fixtures/random.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { clickOnBothDays, sampleAd } from '../../setup/samples.ts';

const DAY_MS = 86_400_000;

describe.each(DATABASES)('spend on the %s database', (name, open) => {
  const database = useDatabase(open);
  let db: Database;
  let changes: number;
  let clicks: number;
  beforeEach(async () => {
    ({ db } = database);
    [changes, clicks] = [0, 0];
    await db.execute(sql.raw('truncate ads, ad_spend, generations, clicks, counters'));
    await catalogue().putMany(
      ['a', 'b'].map((id) => sampleAd({ id, dailyBudgetMicros: 1_000_000, bidMicros: 1_000_000 })),
    );
    const catalogueRevision = await reached(db, 'catalogue');
    const createdAt = new Date();
    await db
      .insert(generations)
      .values({ number: 1, status: 'live', spaceId: '0', model: 'm', ads: 2, createdAt, catalogueRevision });
  });
  const onKillListChange = async () => void changes++;
  const catalogue = () =>
    createCatalogue({
      db,
      space: { spaceId: '0123456789abcdef', dimension: 4 },
      follow: async () => undefined,
      onKillListChange,
    });
  const click = (adId: string, chargeMicros: number, change: Partial<ClickEvent> = {}) =>
    clickOnBothDays({ id: `click-${++clicks}:1`, adId, chargeMicros, ...change });
  const store = (events: ClickEvent[][]) => ingest(events.flat(), { db, onKillListChange });
  const state = async () => ({ killed: await killList(db), version: await reached(db, 'config'), changes });

  test('kills an ad from the click on that uses up its budget, and tells once', async () => {
    await store([click('a', 400_000), click('b', 999_999)]);
    expect(await state()).toEqual({ killed: [], version: 0, changes: 0 });
    await store([click('a', 300_000), click('a', 300_000)]);
    expect(await state()).toEqual({ killed: ['a'], version: 1, changes: 1 });
    await store([click('a', 500_000)]);
    expect(await state()).toEqual({ killed: ['a'], version: 1, changes: 1 });
  });

  test('counts each click once, and bots not at all', async () => {
    const once = click('a', 600_000);
    await store([once, once]);
    await store([once]);
    await store([click('a', 900_000, { bot: true })]);
    expect((await state()).killed).toEqual([]);
    await Promise.all(Array.from({ length: 8 }, () => store([click('b', 125_000)])));
    expect(await state()).toEqual({ killed: ['b'], version: 1, changes: 1 });
  });

  test('of two batches over the same ads at once none is lost', async () => {
    const both = () => [click('a', 100_000), click('b', 100_000)];
    await Promise.all(Array.from({ length: 10 }, (_, i) => store(i % 2 ? both() : both().reverse())));
    expect((await state()).killed).toEqual(['a', 'b']);
  });

  test.skipIf(name === 'embedded')('tells of an ad that it kills while another is let in again', async () => {
    await store([click('a', 1_000_000), click('b', 1)]);
    const [held, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const holding = db.transaction(async (tx) => {
      await tx.execute(sql`select from ad_spend for update`);
      held.resolve();
      await release.promise;
    });
    await held.promise;
    const storing = store([click('b', 1_000_000), click('a', 1)]);
    const waiting = sql`select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    while ((await rows(db, waiting)).length === 0);
    await catalogue().patch('a', { dailyBudgetMicros: 3_000_000 });
    const { version } = await state();
    release.resolve();
    await Promise.all([holding, storing]);
    expect(await state()).toMatchObject({ killed: ['b'], version: version + 1 });
  });

  test('counts what is stored event by event too', async () => {
    // More than an index entry holds, and too random to be compressed.
    const random = uniforms(1);
    const id = Array.from({ length: 8_000 }, () => Math.floor(36 * random()).toString(36)).join('');
    const refused = click('a', 100_000, { id });
    const { stored, rejected } = await store([click('a', 1_000_000), refused]);
    expect([stored, rejected.length]).toEqual([2, 2]);
    expect(await state()).toEqual({ killed: ['a'], version: 1, changes: 1 });
  });

  test('kills an ad whose budget becomes nothing, before any click', async () => {
    await catalogue().patch('a', { dailyBudgetMicros: 0 });
    expect(await state()).toEqual({ killed: ['a'], version: 1, changes: 1 });
    await catalogue().patch('a', { dailyBudgetMicros: 1 });
    expect(await state()).toEqual({ killed: [], version: 2, changes: 2 });
  });

  test('ends with a raised budget, and with the day', async () => {
    await store([click('a', 1_000_000), click('b', 1_000_000, { atMs: Date.now() - 2 * DAY_MS })]);
    expect((await state()).killed).toEqual(['a']);
    await catalogue().patch('a', { dailyBudgetMicros: 2_000_000 });
    expect(await state()).toEqual({ killed: [], version: 2, changes: 2 });
    expect(await forgetPastDays(db)).toBe(true);
    expect(await rows(db, sql`select distinct ad_id from ad_spend`)).toEqual([{ ad_id: 'a' }]);
    expect([await forgetPastDays(db), await reached(db, 'config')]).toEqual([false, 3]);
  });

  test('kills nothing that was out before the live generation was built', async () => {
    await catalogue().patch('a', { status: 'paused' });
    expect((await state()).killed).toEqual(['a']);
    await db.update(generations).set({ catalogueRevision: await reached(db, 'catalogue') });
    expect((await state()).killed).toEqual([]);
    await catalogue().remove('b');
    expect((await state()).killed).toEqual(['b']);
  });

  test('goes by the generation that is live, whatever came after it and failed, or is being built', async () => {
    await catalogue().patch('a', { status: 'paused' });
    const [live] = await db.select().from(generations);
    const catalogueRevision = await reached(db, 'catalogue');
    for (const [i, status] of (['failed', 'building', 'retired'] as const).entries())
      await db.insert(generations).values({ ...live!, number: 2 + i, status, catalogueRevision });
    expect((await state()).killed).toEqual(['a']);
  });

  test('kills nothing that no generation can have cached', async () => {
    await db.execute(sql`truncate generations`);
    await store([click('a', 1_000_000)]);
    expect(await state()).toEqual({ killed: [], version: 0, changes: 0 });
    await raise(db, 'config');
  });
});

test('a day ends at midnight, UTC', () => {
  expect(untilMidnight(Date.UTC(2026, 0, 15, 23, 59, 59, 999))).toBe(1);
  expect(untilMidnight(Date.UTC(2026, 0, 15))).toBe(DAY_MS);
});
