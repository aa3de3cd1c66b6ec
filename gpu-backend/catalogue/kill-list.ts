/**
 * Ads that must leave every answer at once. An edge caches candidate lists by generation, and the backend adds later
 * changes to the live generation as they come; so a cached list can only hold ads that were active when the generation
 * was built or at some time since. The ads to kill are therefore those that changed *after* the generation's snapshot and
 * are not active now, or may spend nothing: what was paused before never entered, and the list empties itself with each publication. Beside
 * them, whatever the generation: those that have spent the budget of the day (spend.ts). A campaign or an advertiser is one
 * entry (takedown.ts), however many ads it has.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { accountSpend, accounts, adSpend, ads } from '../db/schema.ts';

/** Catalogue revision that the live generation covers; `undefined` before the first. */
async function liveRevision(db: Database): Promise<number | undefined> {
  const [row] = await rows<{ revision: number }>(
    db,
    sql`select catalogue_revision::float8 as revision from generations
        where status = 'live' order by number desc limit 1`,
  );
  return row?.revision;
}

const today = sql`(now() at time zone 'utc')::date`;

/** The entries on the list as a subquery; the ads' halves have an index to go by, campaigns are few. */
const killed = (revision: number): SQL => sql`(
  select ${ads.id} from ${ads}
  where ${ads.revision} > ${revision} and (${ads.status} <> 'active' or ${ads.dailyBudgetMicros} = 0 or ${ads.deletedAt} is not null)
  union
  select ${ads.id} from ${ads} join ${adSpend} on ${adSpend.adId} = ${ads.id}
  where ${adSpend.day} = ${today} and ${adSpend.spentMicros} >= ${ads.dailyBudgetMicros}
  union
  select ${accounts.kind} || '/' || ${accounts.id} from ${accounts}
  where ${accounts.revision} > ${revision} and (${accounts.status} <> 'active' or ${accounts.dailyBudgetMicros} = 0)
    and ${accounts.deletedAt} is null
  union
  select ${accounts.kind} || '/' || ${accounts.id} from ${accounts}
  join ${accountSpend} on ${accountSpend.kind} = ${accounts.kind} and ${accountSpend.id} = ${accounts.id}
  where ${accounts.deletedAt} is null and ${accountSpend.day} = ${today}
    and ${accountSpend.spentMicros} >= ${accounts.dailyBudgetMicros}
) as killed`;

/** Ids in order. Empty before the first generation, when nothing can have been cached. */
export async function killList(db: Database): Promise<string[]> {
  const revision = await liveRevision(db);
  if (revision === undefined) return [];
  const found = await rows<{ id: string }>(db, sql`select id from ${killed(revision)} order by id`);
  return found.map(({ id }) => id);
}

/** Which of the entries are on the list. */
export async function killedAmong(db: Database, ids: readonly string[]): Promise<Set<string>> {
  const revision = await liveRevision(db);
  if (revision === undefined) return new Set();
  const found = await rows<{ id: string }>(
    db,
    sql`select id from ${killed(revision)}
        where id in (select jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb))`,
  );
  return new Set(found.map(({ id }) => id));
}
