/** Which ads an edge is given for the time without a backend, on both databases. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, test } from 'vitest';
import { Eligibility } from '../../../gpu-backend/catalogue/eligibility.ts';
import type { Database } from '../../../gpu-backend/db/connect.ts';
import { ingest } from '../../../gpu-backend/events/ingest.ts';
import type { Live } from '../../../gpu-backend/generations/live.ts';
import { createHeadAds } from '../../../gpu-backend/retrieval/head-ads.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import { HeadAds } from '../../../shared/contract/head.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleAd, sampleImpression } from '../../setup/samples.ts';

/** As much of a live view as the head is made of; `gone` are taken out while the others are looked at. */
function liveWith(ads: readonly Ad[], gone: readonly string[] = []): Live {
  const byId = new Map(ads.map((ad) => [ad.id, ad]));
  const ids = () => [...byId.keys(), ...gone];
  return { view: { number: 7, ids, find: (id: string) => byId.get(id) } } as unknown as Live;
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
        shown('gb', ['british'], { atMs: Date.now() - 6 * 86_400_000 }),
        ...Array.from({ length: 9 }, () => shown('us', ['by-robots'], { bot: true })),
        ...Array.from({ length: 9 }, () => shown('us', ['in-a-test-link'], { qa: true })),
        ...Array.from({ length: 9 }, () => shown('us', ['last-week'], { atMs: Date.now() - 8 * 86_400_000 })),
        ...Array.from({ length: 9 }, () => shown('us', ['by-a-wrong-clock'], { atMs: Date.now() + 86_400_000 })),
      ],
      { db },
    );
    const never = ['by-a-wrong-clock', 'by-robots', 'in-a-test-link', 'last-week'];
    const ids = ['often', 'less', 'british', 'paused', 'penniless', 'rich', ...never];
    const budgets: Record<string, number> = { rich: 2, penniless: 0 };
    const ads = ids.map((id) =>
      sampleAd({ id, status: id === 'paused' ? 'paused' : 'active', dailyBudgetMicros: budgets[id] ?? 1 }),
    );
    const head = await createHeadAds({ db, live: liveWith(ads), now: () => 5 })();
    expect(HeadAds.parse(head)).toEqual(head);
    expect(head).toMatchObject({ generation: 7, atMs: 5 });
    expect(head.ads.map(({ adId }) => adId)).toEqual(['british', 'often', 'less', 'rich', ...never]);
    const { markets, keywords, title } = sampleAd();
    expect(head.ads[0]).toMatchObject({ title, markets, keywords: keywords.map(({ text }) => text) });
  });

  test('as many as there is room for, each once: what is shown most, then by budget, then by id', async () => {
    const ids = Array.from({ length: 2_100 }, (_, i) => `ad-${String(i).padStart(4, '0')}`);
    const [mostShown, dear] = [ids[2_099]!, ids.slice(2_040, 2_060)];
    const ads = ids.map((id) => sampleAd({ id, dailyBudgetMicros: id === mostShown ? 9 : dear.includes(id) ? 3 : 2 }));
    const never = ids.flatMap((id) => [
      sampleAd({ id: `${id}-paused`, dailyBudgetMicros: 99, status: 'paused' }),
      sampleAd({ id: `${id}-german`, dailyBudgetMicros: 99, languages: ['de'] }),
    ]);
    await ingest([shown('us', [mostShown])], { db });
    const ask = createHeadAds({ db, live: liveWith([...never, ...ads.toReversed()], ['gone']), now: () => nowMs });
    let nowMs = 5;
    const head = async () => (await ask()).ads.map(({ adId }) => adId);
    expect(await head()).toEqual([mostShown, ...dear, ...ids.slice(0, 1_979)]);

    const pages = Array.from({ length: 42 }, (_, page) => shown('us', ids.slice(50 * page, 50 * (page + 1))));
    await ingest(pages, { db });
    nowMs = 60_005;
    expect(await head()).toEqual([mostShown, ...ids.slice(0, 1_999)]);
  });

  test('as many as an isolate has room for, those that are too long passed over', async () => {
    const negatives = Array.from({ length: 1_000 }, (_, i) => ({
      text: `negative keyword ${i}`,
      match: 'broad' as const,
    }));
    const long = Array.from({ length: 400 }, (_, i) => sampleAd({ id: `long-${i}`, dailyBudgetMicros: 9, negatives }));
    const short = Array.from({ length: 100 }, (_, i) => sampleAd({ id: `short-${i}`, dailyBudgetMicros: 1 }));
    const head = await createHeadAds({ db, live: liveWith([...long, ...short]), now: () => 5 })();
    const found = head.ads.map(({ adId }) => adId.split('-')[0]);
    expect(JSON.stringify(head).length).toBeLessThan(4.1e6);
    expect(found.filter((kind) => kind === 'long').length).toBeGreaterThan(50);
    expect(found.filter((kind) => kind === 'short').length).toBe(100);
  });

  test('an ad that is shown in many markets has the best of its places', async () => {
    const pages = [['a', 'b', 'wide'], ['a', 'b'], ['a']].map((ids) => shown('us', ids));
    await ingest([...pages, shown('gb', ['wide'])], { db });
    const ads = ['a', 'b', 'wide'].map((id) => sampleAd({ id }));
    const head = await createHeadAds({ db, live: liveWith(ads), now: () => 5 })();
    expect(head.ads.map(({ adId }) => adId)).toEqual(['a', 'wide', 'b']);
  });

  test('in the markets where their terms let them, with what is left to ask of each request', async () => {
    const eligibility = new Eligibility();
    const free = { text: 'free', match: 'broad' as const };
    const account = { id: 'campaign-1', advertiserId: 'advertiser-1', status: 'active' as const };
    eligibility.apply({
      ...{ kind: 'campaign', id: 'campaign-1', revision: 1 },
      account: { ...account, markets: ['gb'], devices: ['mobile'], negatives: [free] },
    });
    const allDay = { days: [0, 1, 2, 3, 4, 5, 6], from: '00:00', to: '24:00' };
    const open = { timeZone: 'UTC', hours: [allDay] };
    eligibility.apply({
      ...{ kind: 'campaign', id: 'campaign-2', revision: 2 },
      account: { ...account, id: 'campaign-2', schedule: open },
    });
    const cheap = { text: 'cheap', match: 'exact' as const };
    const own = sampleAd({ id: 'own', negatives: [cheap] });
    const text = own.keywords[0]!.text;
    const ads = [
      { ...own, keywords: [...own.keywords, { text, match: 'exact' as const }] },
      sampleAd({ id: 'nowhere', markets: ['us'] }),
      sampleAd({ id: 'german', languages: ['de'] }),
      sampleAd({ id: 'timed', campaignId: 'campaign-2', dailyBudgetMicros: 1 }),
    ];
    const head = async () => (await createHeadAds({ db, live: liveWith(ads), eligibility, now: () => 5 })()).ads;
    const expected = [
      { adId: 'own', markets: ['gb'], keywords: [text], negatives: [cheap, free], devices: ['mobile'] },
      { adId: 'timed', markets: ['us', 'gb'], schedule: open },
    ];
    expect(await head()).toMatchObject(expected);
    await ingest([shown('us', ['nowhere', 'german', 'own', 'timed'])], { db });
    expect(await head()).toMatchObject(expected);
    expect((await head())[1]).not.toHaveProperty('negatives');
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
