/**
 * The ads of the head: those that the last days' pages showed most, market by market, and while there are few of those, the
 * ads with the greatest budgets. Edges keep them for the time when no backend answers.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import type { Ad } from '../../shared/contract/ads.ts';
import type { HeadAd, HeadAds } from '../../shared/contract/head.ts';
import { HarnessError } from '../../shared/problem.ts';
import { Eligibility, isActive } from '../catalogue/eligibility.ts';
import { type Database, rows } from '../db/connect.ts';
import { impressions } from '../db/schema.ts';
import type { Live } from '../generations/live.ts';
import { BestSlots } from './best-slots.ts';

export interface HeadOptions {
  db: Database;
  live: Live;
  /** Absent: whoever is booked is shown. */
  eligibility?: Eligibility;
  now: () => number;
}

/** As many as an isolate searches in a few milliseconds. */
const HEAD_ADS = 2_000;
/** Bytes of all of them as JSON: KV takes 25 MB, and an isolate holds both the text and the parsed ads in its 128 MB. */
const HEAD_BYTES = 4e6;
const DAYS = 7;
/** Pages that are looked at, the newest first (not those of a clock that is ahead): enough to tell the head from the rest, however much traffic there is. */
const PAGES = 100_000;
/** Ads that are looked at before others get a turn. */
const SLICE = 4_096;
/** For so long a ranking is handed out again, because many edges ask for it at once. */
const RANKING_MS = 60_000;

/** Throws `not_ready` before the first generation. */
export function createHeadAds({ db, live, eligibility = new Eligibility(), now }: HeadOptions): () => Promise<HeadAds> {
  let ranking: { ids: Promise<string[]>; atMs: number } | undefined;
  return async () => {
    if (ranking === undefined || now() - ranking.atMs >= RANKING_MS) {
      const ids = mostShown(db);
      const mine = { ids, atMs: now() };
      ranking = mine;
      // A ranking that failed fails its own caller only.
      ids.catch(() => {
        if (ranking === mine) ranking = undefined;
      });
    }
    const ids = await ranking.ids;
    const { view } = live;
    if (view === undefined) throw new HarnessError('not_ready', 'No generation is live yet; retry in a few seconds.');
    const chosen = new Map<string, HeadAd>();
    let bytes = 0;
    const admits = new Map<string, (ad: Ad) => boolean>();
    const shownIn = (ad: Ad) =>
      ad.markets.filter((market) => {
        // Pages of the head know no language: what is for some languages only is not among them.
        const asked = admits.get(market) ?? eligibility.admits({ query: '', market, locale: '' });
        admits.set(market, asked);
        return asked(ad);
      });
    const choose = (ad: Ad | undefined) => {
      if (ad === undefined || !isActive(ad) || chosen.size >= HEAD_ADS) return;
      const markets = shownIn(ad);
      if (markets.length === 0) return;
      const next = headAd(ad, markets, eligibility);
      const size = Buffer.byteLength(JSON.stringify(next));
      if (bytes + size > HEAD_BYTES) return; // a thousand negatives; smaller ads have room yet
      bytes += size;
      chosen.set(ad.id, next);
    };
    for (const id of ids) choose(view.find(id));
    if (chosen.size < HEAD_ADS) {
      // A million ads are not sorted, nor looked at in one go: queries would have to wait.
      const all = [...view.ids()];
      const best = new BestSlots({ limit: HEAD_ADS - chosen.size, before: (a, b) => all[a]! < all[b]! });
      for (const [i, id] of all.entries()) {
        if (i % SLICE === SLICE - 1) await nextTurn();
        const ad = view.find(id);
        if (ad === undefined) continue; // gone meanwhile
        const { dailyBudgetMicros: budget } = ad;
        if (isActive(ad) && best.wants(i, budget) && !chosen.has(id) && shownIn(ad).length > 0) best.add(i, budget);
      }
      for (const { slot } of best.drain()) choose(view.find(all[slot]!));
    }
    return { generation: view.number, atMs: now(), ads: [...chosen.values()] };
  };
}

/** Ids, the first of each market first. */
async function mostShown(db: Database): Promise<string[]> {
  const found = await rows<{ id: string }>(
    db,
    sql`with pages as (
          select market, slots from ${impressions}
          where at between now() - make_interval(days => ${DAYS}::int) and now() and not bot and not qa
          order by at desc limit ${PAGES}),
        shown as (
          select slot ->> 'adId' as id, row_number() over (partition by market order by count(*) desc, slot ->> 'adId') as place
          from pages, jsonb_array_elements(slots) slot group by market, slot ->> 'adId')
        select id from shown group by id order by min(place), id limit ${2 * HEAD_ADS}`,
  );
  return found.map(({ id }) => id);
}

function headAd(ad: Ad, markets: string[], eligibility: Eligibility): HeadAd {
  const { id, advertiserId, campaignId, title, description, displayUrl, landingUrl, bidMicros, keywords } = ad;
  const shown = { adId: id, advertiserId, campaignId, title, description, displayUrl, landingUrl, bidMicros };
  const negatives = [...(ad.negatives ?? []), ...(eligibility.campaignOf(ad)?.negatives ?? [])];
  return {
    ...shown,
    ...eligibility.shownUnder(ad),
    markets,
    keywords: [...new Set(keywords.map(({ text }) => text))],
    ...(negatives.length === 0 ? {} : { negatives }),
  };
}
