/**
 * How much more likely a slot is to be looked at than the next, from the log alone (intervention harvesting: Agarwal,
 * Zaitsev, Wang, Li, Najork and Joachims, "Estimating position bias without intrusive interventions", WSDM 2019). Coins
 * of the draft, changing bids and budgets show one ad of one query at several positions; what its click rate loses from
 * one to the next is the position's doing.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type Database, rows } from '../../db/connect.ts';

/**
 * Chance that a position is looked at relative to the first, by position from 1; `undefined` where no ad was seen and clicked
 * at two positions next to each other, so that nothing ties them together. `places` has a row an ad of a query of a market and a
 * position: `market`, `query`, `ad_id`, `position` from 1, how often it was `shown` there, and its `clicks`.
 */
export async function readExamination(db: Database, places: SQL): Promise<number[] | undefined> {
  // Click rates weighted by what both positions have seen, so that an ad shown once says little; numeric, whose sums have no order.
  const steps = await rows<{ position: number; here: number; next: number }>(
    db,
    sql`select position::int as position,
          coalesce(sum(clicks::numeric * shown_next / (shown + shown_next)) filter (where next = position + 1), 0)::float8 as here,
          coalesce(sum(clicks_next::numeric * shown / (shown + shown_next)) filter (where next = position + 1), 0)::float8 as next
        from (
          select position, shown, clicks, lead(position) over ad as next, lead(shown) over ad as shown_next, lead(clicks) over ad as clicks_next
          from (${places}) places window ad as (partition by market, query, ad_id order by position)) steps
        group by 1 order by 1`,
  );
  const last = steps.at(-1)?.position ?? 1;
  const chances = [1];
  for (const { position, here, next } of steps) {
    if (position === last) break;
    if (position !== chances.length || here === 0 || next === 0) return undefined;
    chances.push((chances[position - 1]! * next) / here);
  }
  return chances.length === last ? chances : undefined;
}
