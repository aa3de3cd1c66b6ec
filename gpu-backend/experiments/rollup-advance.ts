/**
 * Keeps the rollups (tables `experiment_unit_days`, `experiment_units`, `experiment_arm_days`) up with the stored events: each
 * event is added once, when it is whole (rollup-facts.ts), so the rows are sums over a set and no order of arrival shows.
 *
 * Which events are new is told by the number of the transaction that stored them. Numbers are given in another order than
 * commits happen (as those of a sequence would be), so a cursor that went up to the highest number seen would skip what
 * commits late. It goes up to the oldest transaction still running instead (`pg_snapshot_xmin`): everything below has
 * ended, and nothing below can appear any more. One advance runs at a time and moves the cursor in its own transaction.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { MeasureName } from '../../shared/metric.ts';
import { type Database, rows } from '../db/connect.ts';
import {
  type ArmSum,
  counters,
  experimentArmDays,
  experimentUnitDays,
  experimentUnits,
  productName,
} from '../db/schema.ts';
import { COMPARED, column, facts, list, NAMES, TABLES, type Table, type Window } from './rollup-facts.ts';
import { triggeredOf } from './strata.ts';

/** Any number that no other lock has: "ROLL" in ASCII. */
const ADVISORY_LOCK = 0x524f4c4c;
/** 2^62 - 1: sums stop there, in any order of addition, so that no absurd amount can overflow a row and halt the rollup. */
const CEILING = sql.raw('4611686018427387903');

const measureList = list(NAMES.map((name) => sql`${column(name)}`));

/** Adds the window's facts to the rollups. */
function fold(window: Window & { fresh: ReadonlySet<Table> }): SQL {
  const summed = (name: MeasureName) =>
    sql`least(coalesce(sum(${column(name)}) filter (where not bot), 0), ${CEILING})::bigint as ${column(name)}`;
  const added = NAMES.map(
    (name) => sql`${column(name)} = least(kept.${column(name)} + excluded.${column(name)}, ${CEILING})`,
  );
  const seen = sql`bots = kept.bots + excluded.bots,
    first_at = least(kept.first_at, excluded.first_at), last_at = greatest(kept.last_at, excluded.last_at)`;
  return sql`with facts as (${facts(window)}),
    fresh as materialized (
      select experiment, unit_id, arm, (at at time zone 'UTC')::date as day, bool_or(not bot) as human,
        count(*) filter (where bot) as bots, min(at) filter (where not bot) as first_at,
        max(at) filter (where not bot) as last_at, min(first) filter (where not bot) as first,
        ${list(COMPARED.map((name) => sql`coalesce(sum(${name}) filter (where not bot), 0) as ${name}`))}, ${list(NAMES.map(summed))}
      from facts group by experiment, unit_id, arm, day),
    days as (
      insert into ${experimentUnitDays} as kept (experiment, unit_id, arm, day, bots, first_at, last_at, ${measureList})
      select experiment, unit_id, arm, day, bots, first_at, last_at, ${measureList} from fresh
      on conflict (experiment, unit_id, day, arm) do update set ${seen}, ${list(added)}
      returning experiment, unit_id, arm, day, first_at, ${measureList}),
    units as (insert into ${experimentUnits} as kept (experiment, unit_id, arm, mixed, first, ${list(COMPARED)}, bots, first_at, last_at, ${measureList})
    select experiment, unit_id, min(arm) filter (where human),
      coalesce(min(arm) filter (where human) <> max(arm) filter (where human), false), min(first),
      ${list(COMPARED.map((name) => sql`sum(${name})::bigint`))}, sum(bots)::bigint,
      min(first_at), max(last_at),
      ${list(NAMES.map((name) => sql`least(sum(${column(name)}), ${CEILING})::bigint`))}
    from fresh group by experiment, unit_id
    on conflict (experiment, unit_id) do update set
      arm = least(kept.arm, excluded.arm), first = least(kept.first, excluded.first),
      mixed = kept.mixed or excluded.mixed or coalesce(kept.arm <> excluded.arm, false),
      ${list(COMPARED.map((name) => sql`${name} = kept.${name} + excluded.${name}`))}, ${seen}, ${list(added)}
      returning experiment, unit_id, ${told('kept')}),
    ${grow}`;
}

/** What the sums by arm want to know of a unit. */
const told = (row: string) =>
  sql`${sql.identifier(row)}.mixed, ${sql.identifier(row)}.stratum, ${triggeredOf(row)} as triggered`;

/**
 * Moves the arms' days from what the touched units came to before to what they come to now: all their days are read as they
 * were (every part of a statement sees the same state) and as they are, and the running sums of both are set against each other.
 */
const grow = growth();
function growth(): SQL {
  const [total, earlier] = [
    (measure: MeasureName) => sql.identifier(`${measure} so far`),
    (measure: MeasureName) => sql.identifier(`${measure} before`),
  ];
  const amounts = new Map<ArmSum, SQL>([
    ['units', sql`(visit = 1)::int`],
    ...NAMES.map((name) => [name, sql`${column(name)}`] as const),
    ...NAMES.flatMap((a, i) =>
      NAMES.slice(i).map(
        (b) => [productName(a, b), sql`(${column(a)} * ${total(b)} + ${earlier(a)} * ${column(b)})`] as const,
      ),
    ),
  ]);
  const names = [...amounts.keys()].map((name) => sql.identifier(name));
  const kept = sql`experiment, unit_id, arm, day, first_at, ${measureList}`;
  const key = sql`experiment, arm, day, stratum, triggered`;
  return sql`were as (
      select ${kept} from (select distinct experiment, unit_id from fresh) touched
      join ${experimentUnitDays} using (experiment, unit_id)),
    are as (
      select ${kept} from days
      union all select ${kept} from were where not exists (
        select from days where (days.experiment, days.unit_id, days.day, days.arm) = (were.experiment, were.unit_id, were.day, were.arm))),
    steps as (
      select -1 as sign, were.*, ${told('own')} from were join ${experimentUnits} own using (experiment, unit_id)
      union all select 1, are.*, mixed, stratum, triggered from are join units using (experiment, unit_id)),
    running as (
      select sign, experiment, unit_id, arm, day, stratum, triggered, row_number() over unit as visit,
        ${list(NAMES.map((name) => sql`${column(name)}, sum(${column(name)}) over unit as ${total(name)}`))}
      from steps where not mixed and first_at is not null
      window unit as (partition by sign, experiment, unit_id order by day, arm rows unbounded preceding)),
    moved as (
      select *, ${list(NAMES.map((name) => sql`${total(name)} - ${column(name)} as ${earlier(name)}`))} from running),
    grown as (
      select ${key}, ${list([...amounts].map(([name, amount]) => sql`sum(sign * ${amount}) as ${sql.identifier(name)}`))}
      from moved group by ${key})
    insert into ${experimentArmDays} as kept (${key}, ${list(names.map((name) => sql`${name}`))})
    select ${key}, ${list(names.map((name) => sql`${name}`))} from grown
    where (${list(names.map((name) => sql`${name}`))}) <> (${list(names.map(() => sql`0`))})
    on conflict (${key}) do update set ${list(names.map((name) => sql`${name} = kept.${name} + excluded.${name}`))}`;
}

/** Keeps others from moving the rollups until the transaction ends. */
export async function lockRollups(tx: Database): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCK}::bigint)`);
}

/** Brings the rollups up to the events stored by transactions that have ended; any number of processes may call it. */
export async function advance(db: Database): Promise<void> {
  await db.transaction(async (tx) => {
    await lockRollups(tx);
    let { after, before } = await window(tx);
    if (BigInt(after) > BigInt(before)) {
      await renumber(tx, after);
      after = '1';
      await moveCursor(tx, after); // here too, where all is in: later events would count as in by a cursor that is ahead
    }
    const exist = TABLES.map(
      (table) =>
        sql`exists (select from ${table} where ${table.xact} >= ${after}::xid8 and ${table.xact} < ${before}::xid8)`,
    );
    // As JSON: the driver does not read arrays (connect.ts).
    const [row] = await rows<{ fresh: boolean[] }>(tx, sql`select to_json(array[${list(exist)}]) as fresh`);
    const fresh = new Set(TABLES.filter((_, i) => row!.fresh[i]));
    if (fresh.size === 0) return;
    await tx.execute(fold({ after, before, fresh }));
    await moveCursor(tx, before);
  });
}

/** Events of transactions below it are in. */
async function moveCursor(tx: Database, to: string): Promise<void> {
  await tx.execute(
    sql`insert into ${counters} (name, value) values ('rollup', ${to}::bigint)
        on conflict (name) do update set value = excluded.value`,
  );
}

async function window(tx: Database): Promise<Window> {
  const [row] = await rows<Window>(
    tx,
    sql`select coalesce((select value from ${counters} where name = 'rollup'), 0)::text as after,
          pg_snapshot_xmin(pg_current_snapshot())::text as before`,
  );
  return row!;
}

/**
 * For a database that was copied to a server whose transaction numbers are lower than those stored. The rollups stay, because
 * events that are in them may be deleted by now (events/forget.ts): those that are in count as stored before any transaction of
 * this server, the others as stored by the first. The service advances once before it takes events, so that this is seen
 * before new events could hide among the old numbers.
 */
async function renumber(tx: Database, after: string): Promise<void> {
  for (const table of TABLES)
    await tx.execute(sql`update ${table} set xact = case when xact < ${after}::xid8 then '0'::xid8 else '1'::xid8 end`);
}

/** How far the rollups are. */
export interface Watermark {
  /** Events of transactions below this number are in. */
  transaction: bigint;
  /** Events stored and not in yet. */
  waiting: number;
}

export async function watermark(db: Database): Promise<Watermark> {
  const { after } = await window(db);
  const waiting = TABLES.map((table) => sql`(select count(*) from ${table} where ${table.xact} >= ${after}::xid8)`);
  const [row] = await rows<{ waiting: number }>(db, sql`select (${sql.join(waiting, sql` + `)})::float8 as waiting`);
  return { transaction: BigInt(after), waiting: row!.waiting };
}
