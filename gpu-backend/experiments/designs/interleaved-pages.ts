/** The slots of an experiment's interleaved pages, from the rows: who drafted them, and whether they were clicked. */
import { type SQL, sql } from 'drizzle-orm';
import { INTERLEAVED } from '../../../shared/experiment.ts';
import { clicks, exposures, impressions } from '../../db/schema.ts';

/** A row a slot, as interleaving.ts reads them; those of bots are left out. */
export const draftedSlots = (experiment: string): SQL =>
  sql`select ${exposures.unitId} as unit_id, ${impressions.market} as market, ${impressions.query} as query,
        slot.value ->> 'adId' as ad_id, (slot.value ->> 'position')::int as position, slot.value ->> 'team' as team,
        ${clicks.id} is not null as clicked
      from ${exposures}
      join ${impressions} on ${impressions.id} = ${exposures.impressionId} and not ${impressions.bot}
      cross join jsonb_array_elements(${impressions.slots}) slot
      left join ${clicks} on ${clicks.impressionId} = ${impressions.id} and not ${clicks.bot}
        and ${clicks.position} = (slot.value ->> 'position')::int
      where ${exposures.experiment} = ${experiment} and ${exposures.arm} = ${INTERLEAVED} and slot.value ? 'team'`;
