/** The slots of an experiment's interleaved pages, from the rows: who drafted them, and whether they were clicked. */
import { sql } from 'drizzle-orm';
import { INTERLEAVED } from '../../../shared/experiment.ts';
import { type Database, rows } from '../../db/connect.ts';
import { clicks, exposures, impressions } from '../../db/schema.ts';
import type { DraftedSlot } from './interleaving.ts';

/** By page and position, so that the order of events does not show; those of bots are left out. */
export function readDraftedSlots(db: Database, experiment: string): Promise<DraftedSlot[]> {
  return rows<DraftedSlot & Record<string, unknown>>(
    db,
    sql`select ${exposures.unitId} as "unitId", ${impressions.query} as query, slot.value ->> 'adId' as "adId",
        (slot.value ->> 'position')::int as position, slot.value ->> 'team' as team, ${clicks.id} is not null as clicked
      from ${exposures}
      join ${impressions} on ${impressions.id} = ${exposures.impressionId} and not ${impressions.bot}
      cross join jsonb_array_elements(${impressions.slots}) slot
      left join ${clicks} on ${clicks.impressionId} = ${impressions.id} and not ${clicks.bot}
        and ${clicks.position} = (slot.value ->> 'position')::int
      where ${exposures.experiment} = ${experiment} and ${exposures.arm} = ${INTERLEAVED} and slot.value ? 'team'
      order by ${impressions.id}, position`,
  );
}
