/**
 * An experiment of millions of impressions, made by SQL inside a real Postgres server: users of uneven activity in sessions
 * over two weeks, bots, a few users in both arms, clicks, conversions. Every draw is a hash of the row's number.
 */
import { sql } from 'drizzle-orm';
import { type Database, rows } from '../gpu-backend/db/connect.ts';
import { experiments } from '../gpu-backend/db/schema.ts';
import { experimentOf } from '../test/fixtures/experiment-traffic.ts';

export const EXPERIMENT = experimentOf('large');

/** The columns that a report reads, as a peer gets them. */
export const EXPORTS: Record<string, string> = {
  impressions: 'select id, at, bot, slot_count from impressions',
  exposures: 'select impression_id, experiment, arm, unit_id from exposures',
  clicks: 'select id, impression_id, charge_micros, bot from clicks',
  conversions: 'select id, click_id, value_micros from conversions',
};

const TABLES = Object.keys(EXPORTS);
/** Impressions a user, on average. */
const PER_USER = 20;

/** A draw from [0, 1) for a number; `salt` makes draws independent. */
const u = (of: string, salt: number) =>
  `((hashint8extended((${of})::bigint, ${salt}) & 2147483647) / 2147483648.0::float8)`;

/** Fills the tables of events; their indexes are made afterwards, which is several times faster. */
export async function fill(db: Database, impressions: number): Promise<void> {
  const run = (text: string) => db.execute(sql.raw(text));
  const { key, layer, status } = EXPERIMENT;
  await db.insert(experiments).values({ key, layer, status, definition: EXPERIMENT });
  const restore = await withoutIndexes(db);
  for (const table of TABLES) await run(`alter table ${table} set unlogged`);
  await run(`create unlogged table draws as
    select n, unit, case when ${u('unit', 3)} < 0.002 then ${u('n', 4)} < 0.5 else ${u('unit', 2)} < 0.5 end as treated,
      ${u('unit', 5)} < 0.02 as bot, floor(5 * ${u('n', 6)})::int as shown,
      date_trunc('milliseconds', timestamptz '2026-03-01Z'
        + (floor(14 * ${u('unit * 4 + session', 7)}) + ${u('n', 8)}) * interval '1 day') as at
    from (select n, floor(4 * ${u('n', 9)})::bigint as session,
        floor(${Math.ceil(impressions / PER_USER)} * power(${u('n', 1)}, 1.5))::bigint as unit
      from generate_series(1, ${impressions}) as n) as drawn`);
  await run(`insert into impressions (id, at, unit_id, bot, market, locale, query, config_version, plan_fingerprint,
      generation, model, cache_status, cache_age_ms, rung, slot_count, total_ms, backend_ms, encode_ms, search_ms, slots)
    select lpad(to_hex(n), 12, '0'), at, lpad(to_hex(unit), 16, '0'), bot, 'us', 'en', 'query ' || n % 50000, 1, 'plan', 1,
      'student', 'miss', 0, 'fresh', shown, 5, 4, 2, 1, '[]' from draws`);
  await run(`insert into exposures (impression_id, experiment, layer, arm, unit_id, at)
    select lpad(to_hex(n), 12, '0'), '${key}', '${layer}', case when treated then 'treatment' else 'control' end,
      lpad(to_hex(unit), 16, '0'), at from draws`);
  await run(`insert into clicks (id, impression_id, ad_id, position, charge_micros, bot, at)
    select lpad(to_hex(n), 12, '0') || ':1', lpad(to_hex(n), 12, '0'), 'ad', 1, 50000 + floor(400000 * ${u('n', 10)}),
      bot or ${u('n', 11)} < 0.02, at + interval '3 seconds'
    from draws where ${u('n', 12)} < 0.03 * shown * case when treated then 1.02 else 1 end`);
  await run(`insert into conversions (id, click_id, value_micros, at)
    select 'order-' || id, id, 20000000, at + interval '1 hour' from clicks where ${u('hashtext(id)', 13)} < 0.05`);
  await run('drop table draws');
  await restore();
  for (const table of TABLES) await run(`vacuum analyze ${table}`);
}

/** Drops the indexes of the events' tables; the function it gives makes them again. */
async function withoutIndexes(db: Database): Promise<() => Promise<void>> {
  const run = (text: string) => db.execute(sql.raw(text));
  const keys = await rows<{ table: string; name: string; definition: string }>(
    db,
    sql`select conrelid::regclass::text as table, conname as name, pg_get_constraintdef(oid) as definition
        from pg_constraint where contype = 'p' and conrelid::regclass::text = any(string_to_array(${TABLES.join()}, ','))`,
  );
  for (const { table, name } of keys) await run(`alter table ${table} drop constraint ${name}`);
  const indexes = await rows<{ name: string; definition: string }>(
    db,
    sql`select indexname as name, indexdef as definition from pg_indexes
        where tablename = any(string_to_array(${TABLES.join()}, ','))`,
  );
  for (const { name } of indexes) await run(`drop index ${name}`);
  return () =>
    db.transaction(async (tx) => {
      await tx.execute(sql`set local maintenance_work_mem = '1GB'`); // sorts of millions of keys stay in memory
      for (const { table, name, definition } of keys)
        await tx.execute(sql.raw(`alter table ${table} add constraint ${name} ${definition}`));
      for (const { definition } of indexes) await tx.execute(sql.raw(definition));
    });
}
