/**
 * Ads that were removed long ago leave the database. Until then their rows are kept, marked: the kill list names those removed since
 * the last generations were made, and other backends learn from them which ads went. `purged` counts up to which removal they may be gone,
 * so that a backend that was away for as long compares all it has (serving-config/follower.ts). Generations need none of
 * them: what the catalogue has no more is left out when one is loaded.
 */
import { sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { ads, counters, generations } from '../db/schema.ts';

/** Rows deleted in one transaction, which soon ends. */
const CHUNK = 5_000;

/** Deletes the rows of ads that were removed more than `days` ago, and before the last two generations; gives how many. */
export async function purgeRemoved(
  db: Database,
  { days, chunk = CHUNK }: { days: number; chunk?: number },
): Promise<number> {
  let purged = 0;
  for (;;) {
    // Rows that a commit is writing are passed over, so that neither waits for the other: the ad is about to be put again.
    const [row] = await rows<{ gone: number }>(
      db,
      sql`with gone as (
            delete from ${ads} where id in (
              select id from ${ads}
              where ${ads.deletedAt} < now() - make_interval(days => ${days}::int)
                and ${ads.revision} <= (select min(revision) from (
                  select ${generations.catalogueRevision} as revision from ${generations}
                  where ${generations.status} in ('live', 'retired') order by ${generations.number} desc limit 2) latest)
              order by ${ads.deletedAt} limit ${chunk}::int for update skip locked)
            returning revision
          ), counted as (
            insert into ${counters} (name, value) select 'purged', max(revision) from gone having count(*) > 0
            on conflict (name) do update set value = greatest(${counters}.value, excluded.value)
          )
          select count(*)::int as gone from gone`,
    );
    purged += row!.gone;
    if (row!.gone < chunk) return purged;
  }
}
