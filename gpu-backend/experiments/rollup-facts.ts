/**
 * What is new to the rollups, as SQL: the rows of events that became whole in a window of transactions, an event being
 * whole when it and the events that it depends on are all there. Each row is new in one window only, whichever of them
 * came last.
 */
import { getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { MeasureName } from '../../shared/metric.ts';
import { clicks, conversions, experimentUnits, exposures, impressions, judgements } from '../db/schema.ts';
import { MEASURES, type Source } from './measures.ts';

/** Transactions from `after` up to, not including, `before`. */
export interface Window {
  after: string;
  before: string;
}

/** The measures, and where rollups keep them. */
export const NAMES = Object.keys(MEASURES) as MeasureName[];
const COLUMNS = getTableColumns(experimentUnits) satisfies Record<MeasureName, unknown>;
export const column = (name: MeasureName) => sql.identifier(COLUMNS[name].name);
export const list = (parts: SQL[]) => sql.join(parts, sql`, `);

/** The tables that a source's rows depend on, each after the one that it refers to. */
export const TABLES = [impressions, clicks, conversions, judgements] as const;
export type Table = (typeof TABLES)[number];
const CHAIN: Record<Source, readonly Table[]> = {
  impression: [impressions],
  click: [impressions, clicks],
  conversion: [impressions, clicks, conversions],
  judgement: [impressions, judgements],
};

/** A source's rows with their impression and its exposures; rows of bots count nowhere but in `bots`. */
export const EXPOSED: Record<Source, SQL> = {
  impression: sql`${impressions} join ${exposures} on ${exposures.impressionId} = ${impressions.id}`,
  click: sql`${clicks} join ${impressions} on ${impressions.id} = ${clicks.impressionId}
      and not ${impressions.bot} and not ${clicks.bot}
    join ${exposures} on ${exposures.impressionId} = ${impressions.id}`,
  conversion: sql`${conversions} join ${clicks} on ${clicks.id} = ${conversions.clickId}
    join ${impressions} on ${impressions.id} = ${clicks.impressionId} and not ${impressions.bot} and not ${clicks.bot}
    join ${exposures} on ${exposures.impressionId} = ${impressions.id}`,
  judgement: sql`${impressions}
    join ${judgements} on ${judgements.market} = ${impressions.market} and ${judgements.query} = ${impressions.query}
      and ${impressions.slots} @> jsonb_build_array(jsonb_build_object('adId', ${judgements.adId})) and not ${impressions.bot}
    join ${exposures} on ${exposures.impressionId} = ${impressions.id}`,
};

/** A query with what its unit is told apart by; as text, so that the smallest is the first of all. */
const FIRST = sql`array[to_char(${impressions.at} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS'), ${impressions.id},
    ${impressions.market}, coalesce(${impressions.device}, ''), coalesce(${impressions.colo}, ''), ${impressions.cacheStatus},
    case ${impressions.consent} when true then 'yes' when false then 'no' else '' end]`; // see `stratum` and `served` in schema.ts

/** What a query's counterfactual log adds to its unit; sums over units have no use for it, so it is in no rollup by the day. */
const COUNTERFACTUAL = {
  compared: sql`(${exposures.triggered} is not null)::int`,
  triggered: sql`coalesce(${exposures.triggered}, false)::int`,
};
export const COMPARED = Object.keys(COUNTERFACTUAL).map((name) => sql`${sql.identifier(name)}`);

/** A source's rows that became whole in the window: one select for each table of the chain whose row came last, if any did. */
function factsOf(source: Source, { after, before, fresh }: Window & { fresh: ReadonlySet<Table> }): SQL[] {
  const chain = CHAIN[source];
  const values = NAMES.map((name) => {
    const { from, value } = MEASURES[name];
    return sql`${from === source ? value : sql`0`}::bigint as ${column(name)}`;
  });
  return chain.flatMap((table, last) => {
    if (!fresh.has(table)) return [];
    const conditions = chain.map(({ xact }, i) => {
      const upTo = sql`${xact} < ${i > last ? after : before}::xid8`;
      return i === last ? sql`${xact} >= ${after}::xid8 and ${upTo}` : upTo;
    });
    const compared = Object.entries(COUNTERFACTUAL).map(
      ([name, value]) => sql`${source === 'impression' ? value : sql`0`} as ${sql.identifier(name)}`,
    );
    return sql`select ${exposures.experiment} as experiment, ${exposures.unitId} as unit_id, ${exposures.arm} as arm,
        ${impressions.at} as at, ${impressions.bot} as bot, ${FIRST} as first, ${list(compared)}, ${list(values)}
      from ${EXPOSED[source]} where ${sql.join(conditions, sql` and `)}`;
  });
}

/** All sources' together. `fresh` are the tables that have rows of the window. */
export const facts = (window: Window & { fresh: ReadonlySet<Table> }): SQL =>
  sql.join(
    (Object.keys(CHAIN) as Source[]).flatMap((source) => factsOf(source, window)),
    sql` union all `,
  );
