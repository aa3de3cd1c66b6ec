/** Which ads an edge is given for the time without a backend, on both databases. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../../../gpu-backend/db/connect.ts';
import { ingest } from '../../../gpu-backend/events/ingest.ts';
import type { Live } from '../../../gpu-backend/generations/live.ts';
import { createHeadAds } from '../../../gpu-backend/retrieval/head-ads.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import { HeadAds } from '../../../shared/contract/head.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleAd, sampleImpression } from '../../setup/samples.ts';

/** As much of a live view as the head is made of. */
function liveWith(ads: readonly Ad[]): Live {
  const byId = new Map(ads.map((ad) => [ad.id, ad]));
  return { view: { number: 7, ids: () => byId.keys(), find: (id: string) => byId.get(id) } } as unknown as Live;
}

describe.each(DATABASES)('the head on the %s database', (_name, open) => {
  const database = useDatabase(open);
  let db: Database;
  let pages = 0;
  beforeEach(async () => {
    ({ db } = database);
    await db.execute(sql`truncate impressions, exposures`);
  });

  const shown = (market: string, adIds: string[], change: { bot?: boolean; qa?: boolean; atMs?: number } = {}) =>
    sampleImpression({
      id: `impression-${++pages}`,
      atMs: Date.now(),
      market,
      slots: adIds.map((adId, i) => ({ position: i + 1, adId, relevance: 1, priceMicros: 1, retrievers: ['lexical'] })),
      ...change,
    });

  test('the most shown of each market first, then the greatest budgets; active ads only', async () => {
    await ingest(
      [
        ...Array.from({ length: 3 }, () => shown('us', ['often', 'paused'])),
        ...Array.from({ length: 2 }, () => shown('us', ['less', 'gone'])),
        shown('gb', ['british']),
        ...Array.from({ length: 9 }, () => shown('us', ['by-robots'], { bot: true })),
        ...Array.from({ length: 9 }, () => shown('us', ['in-a-test-link'], { qa: true })),
        ...Array.from({ length: 9 }, () => shown('us', ['last-year'], { atMs: Date.now() - 300 * 86_400_000 })),
      ],
      { db },
    );
    const ids = ['often', 'less', 'british', 'paused', 'penniless', 'rich', 'by-robots', 'in-a-test-link', 'last-year'];
    const budgets: Record<string, number> = { rich: 2, penniless: 0 };
    const ads = ids.map((id) =>
      sampleAd({ id, status: id === 'paused' ? 'paused' : 'active', dailyBudgetMicros: budgets[id] ?? 1 }),
    );
    const head = await createHeadAds({ db, live: liveWith(ads), now: () => 5 })();
    expect(HeadAds.parse(head)).toEqual(head);
    expect(head).toMatchObject({ generation: 7, atMs: 5 });
    expect(head.ads.map(({ adId }) => adId)).toEqual([
      'british',
      'often',
      'less',
      'rich',
      'by-robots',
      'in-a-test-link',
      'last-year',
    ]);
    const { markets, keywords, title } = sampleAd();
    expect(head.ads[0]).toMatchObject({ title, markets, keywords: keywords.map(({ text }) => text) });
  });

  test('one ranking serves for a minute, a failed one for nobody else; before a generation there is none', async () => {
    let nowMs = 0;
    const headAds = createHeadAds({
      db,
      live: liveWith([sampleAd({ id: 'a' }), sampleAd({ id: 'b' })]),
      now: () => nowMs,
    });
    const first = async () => (await headAds()).ads[0]!.adId;
    expect(await first()).toBe('a');
    await ingest([shown('us', ['b'])], { db });
    expect(await first()).toBe('a');
    nowMs = 60_000;
    expect(await first()).toBe('b');

    let fails = true;
    const broken = new Proxy(db, {
      get(target, name) {
        if (fails && name === 'execute') return () => Promise.reject(new Error('away'));
        const value = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const again = createHeadAds({ db: broken, live: liveWith([sampleAd()]), now: () => 0 });
    await expect(again()).rejects.toThrow('away');
    fails = false;
    expect((await again()).ads).toHaveLength(1);

    const none = createHeadAds({ db, live: { view: undefined } as Live, now: () => 0 });
    await expect(none()).rejects.toMatchObject({ code: 'not_ready' });
  });
});
