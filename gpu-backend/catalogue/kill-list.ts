/**
 * Ads that must leave every answer at once. An edge caches candidate lists by generation, and the backend adds later
 * changes to the live generation as they come; so a list of candidates can only hold ads that were active when its generation
 * was built or at some time since. The ads to kill are therefore those that changed *after* a generation's snapshot and
 * are not active now, or may spend nothing. That generation is the one before the live one, because a backend that has not taken over the live
 * one yet, or is cut off from the database, answers by it; what was paused before never entered, and the second publication after a pause
 * takes it off the list. Edges are told how far back that is, and show nothing older. Beside
 * them, whatever the generation: those that have spent the budget of the day (spend.ts). A campaign or an advertiser is one
 * entry (takedown.ts), however many ads it has; so is a rule of policy that came since, and a campaign or an advertiser that
 * was changed since and has a flag with a rule, each for the markets of the rule. An ad's own flags are no entries: a load may bring a
 * hundred thousand of them.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { accountSpend, accounts, adSpend, ads } from '../db/schema.ts';

/** The live generation, and how far back the list goes. */
export interface Reach {
  live: number;
  /** The one published before it, or itself where it is the first. */
  since: number;
  /** Catalogue revision that both of them cover. */
  revision: number;
}

/** `undefined` before the first generation, when nothing can have been cached. */
export async function reachOf(db: Database): Promise<Reach | undefined> {
  const [reach] = await rows<Reach>(
    db,
    sql`select max(number) as live, min(number) as since, min(catalogue_revision)::float8 as revision from (
          select number, catalogue_revision from generations
          where status in ('live', 'retired') and number <= (select max(number) from generations where status = 'live')
          order by number desc limit 2
        ) as latest having count(*) > 0`,
  );
  return reach;
}

const today = sql`(now() at time zone 'utc')::date`;

/** Of each rule of policy, the markets where it holds ads back; `null` for all of them. */
const rules = sql`
  select rule.id as flag, rule.revision, market
  from ${accounts} as rule left join lateral jsonb_array_elements_text(rule.definition -> 'blockedIn') as market on true
  where rule.kind = 'policy' and rule.deleted_at is null`;

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
  union
  select coalesce(market || '/', '') || 'policy/' || flag from (${rules}) as rules where revision > ${revision}
  union
  select coalesce(market || '/', '') || ${accounts.kind} || '/' || ${accounts.id}
  from ${accounts} join (${rules}) as rules on jsonb_exists(${accounts.definition} -> 'policyFlags', flag)
  where ${accounts.revision} > ${revision} and ${accounts.kind} <> 'policy' and ${accounts.deletedAt} is null
) as killed`;

/** Those entries of which the condition on their `id` holds, in the order of their bytes. */
async function entries(db: Database, holds: SQL): Promise<string[]> {
  const reach = await reachOf(db);
  if (reach === undefined) return [];
  // One value: a list may have a hundred thousand entries, and rows are dear.
  const [found] = await rows<{ ids: string[] }>(
    db,
    sql`select coalesce(json_agg(id order by id collate "C"), '[]') as ids from ${killed(reach.revision)} where ${holds}`,
  );
  return found!.ids;
}

export const killList = (db: Database): Promise<string[]> => entries(db, sql`true`);

/** The entries that a campaign, an advertiser or a rule is on the list by. */
export const entriesOf = (db: Database, entry: string): Promise<string[]> =>
  entries(db, sql`id = ${entry} or right(id, ${entry.length + 1}::int) = ${`/${entry}`}`);

/** Which of the entries are on the list. */
export async function killedAmong(db: Database, ids: readonly string[]): Promise<Set<string>> {
  const asked = JSON.stringify(ids);
  return new Set(await entries(db, sql`id in (select jsonb_array_elements_text(${asked}::text::jsonb))`));
}
