/** Which of the events that the edge issued are rows: ids of impressions, clicks and conversions never coincide. */
import { sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { clicks, conversions, impressions } from '../db/schema.ts';
import { requireStorable } from '../db/storable.ts';

/** The ids that no table of events has, in the order given. Throws `bad_request` for text that no id can be. */
export async function missingIds(db: Database, ids: readonly string[]): Promise<string[]> {
  requireStorable(ids, 'ids');
  const found = await rows<{ id: string }>(
    db,
    sql`select asked.id from jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb) with ordinality as asked(id, place)
        where not exists (select from ${impressions} where ${impressions.id} = asked.id)
          and not exists (select from ${clicks} where ${clicks.id} = asked.id)
          and not exists (select from ${conversions} where ${conversions.id} = asked.id)
        order by asked.place`,
  );
  return found.map(({ id }) => id);
}
