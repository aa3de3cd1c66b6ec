import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { rows } from '../../../gpu-backend/db/connect.ts';
import { counters, experimentUnits, productName } from '../../../gpu-backend/db/schema.ts';
import { ingest } from '../../../gpu-backend/events/ingest.ts';
import { storeJudgements } from '../../../gpu-backend/events/judgements.ts';
import { readArmSums } from '../../../gpu-backend/experiments/arm-sums.ts';
import { buildDetailedReport } from '../../../gpu-backend/experiments/detailed-report.ts';
import { METRICS } from '../../../gpu-backend/experiments/metrics.ts';
import { advance, watermark } from '../../../gpu-backend/experiments/rollup-advance.ts';
import type { HarnessEvent } from '../../../shared/contract/events.ts';
import { MeasureName } from '../../../shared/metric.ts';
import {
  clickOf,
  conversionOf,
  emptyEvents,
  experimentOf,
  impressionOf,
  rollUp,
  storeEvents,
  storeExperiment,
  trafficOf,
} from '../../fixtures/experiment-traffic.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const DAY_MS = 86_400_000;
/** Over three days, in two markets, a third of the answers from a cache, and half of the units with a counterfactual log. */
const TRAFFIC = trafficOf({ seed: 11, units: 12, experiment: 'test' }).map((event, at) =>
  event.type === 'impression'
    ? {
        ...event,
        atMs: event.atMs + (at % 3) * DAY_MS,
        market: at % 2 === 0 ? 'us' : 'de',
        assignments: event.assignments.map((each) =>
          event.unitId.length % 2 === 0 ? each : { ...each, triggered: at % 5 === 0 },
        ),
        cache: { status: at % 3 === 0 ? ('memory' as const) : ('miss' as const), ageMs: 0 },
      }
    : event,
);

describe.each(DATABASES)('rollups on the %s database', (name, open) => {
  const database = useDatabase(open);
  beforeEach(async () => {
    await emptyEvents(database.db, 'experiments', 'counters');
    await storeExperiment(database.db, experimentOf('test'));
  });

  const store = (...events: HarnessEvent[]) => storeEvents(database.db, events);
  const dump = async (table: string, which = '') =>
    (
      await rows<{ row: string }>(
        database.db,
        sql.raw(`select ${table}::text as row from ${table} ${which} order by 1`),
      )
    ).map(({ row }) => row);
  const everything = async () => [
    await dump('experiment_units'),
    await dump('experiment_unit_days'),
    // what was taken back, as of a unit that was then seen in another arm, may leave a row of zeros
    await dump('experiment_arm_days', 'where units <> 0 or queries <> 0'),
    JSON.stringify(await buildDetailedReport(database.db, 'test')),
  ];
  const queries = async () => {
    const { arms } = await rollUp(database.db, 'test', METRICS);
    return Object.fromEntries([...arms.values()].map((arm) => [arm.arm, arm.queries]));
  };

  it('are the same rows, and the same report to the byte, in whatever order and however often events come', async () => {
    await store(...TRAFFIC);
    await advance(database.db);
    const expected = await everything();
    expect(expected[0]!.length).toBeGreaterThan(10);
    const order = fc.shuffledSubarray(TRAFFIC, { minLength: TRAFFIC.length });
    const extra = fc.shuffledSubarray(TRAFFIC, { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(order, extra, fc.integer({ min: 12, max: 60 }), async (events, again, size) => {
        await emptyEvents(database.db);
        const sent = [...events, ...again];
        for (let from = 0; from < sent.length; from += size) {
          await ingest(sent.slice(from, from + size), { db: database.db });
          await advance(database.db);
        }
        expect(await everything()).toEqual(expected);
      }),
      { numRuns: 3, seed: 5 },
    );
  });

  it("know how the arms' sums and products grew by the day: together they are those over units, in every stratum", async () => {
    for (let from = 0; from < TRAFFIC.length; from += 7) {
      await store(...TRAFFIC.slice(from, from + 7));
      await advance(database.db);
    }
    const measures = MeasureName.options;
    const columnOf = (name: MeasureName) => sql`${sql.identifier(experimentUnits[name].name)}`;
    const sums = [
      sql`count(*)::text as units`,
      ...measures.map((name) => sql`sum(${columnOf(name)})::text as ${sql.identifier(name)}`),
      ...measures.flatMap((a, i) =>
        measures
          .slice(i)
          .map((b) => sql`sum(${columnOf(a)} * ${columnOf(b)})::text as ${sql.identifier(productName(a, b))}`),
      ),
    ];
    const overUnits = await rows<Record<string, string>>(
      database.db,
      sql`select arm, first[3] || ' ' || first[4] || ' ' || first[7] as stratum,
          case when compared < queries then '' when triggered = 0 then 'no' else 'yes' end as triggered, ${sql.join(sums, sql`, `)}
        from experiment_units where arm is not null and not mixed group by 1, 2, 3`,
    );
    const kept = await readArmSums(database.db, 'test', {
      measures,
      pairs: measures.flatMap((a) => measures.map((b) => [a, b] as const)),
    });
    const inOrder = (of: readonly object[]) => of.map((row) => JSON.stringify(Object.entries(row).sort())).sort();
    expect(inOrder(kept)).toEqual(inOrder(overUnits));
    expect(new Set(kept.map(({ stratum, triggered }) => `${stratum}${triggered}`)).size).toBeGreaterThan(3);
    const [{ days } = { days: 0 }] = await rows<{ days: number }>(
      database.db,
      sql`select count(distinct day)::int as days from experiment_arm_days`,
    );
    expect(days).toBe(3);
  });

  it('count the judged ads of what was shown before and after the judgement came, by its first word', async () => {
    const seen = () => rows(database.db, sql`select judged::int, defects::int from experiment_units order by unit_id`);
    const before = impressionOf({ id: 'sofa', unit: 'anna', arm: 'control', shown: 2 });
    await store(before, {
      ...impressionOf({ id: 'bot', unit: 'robot', arm: 'control', bot: true }),
      query: before.query,
    });
    await advance(database.db);
    const judge = (adId: string, relevant: boolean) => ({ market: 'us', query: ` Query  SOFA`, adId, relevant });
    expect(
      await storeJudgements(database.db, [judge('ad-0', true), judge('ad-1', false), judge('ad-7', false)]),
    ).toEqual({ stored: 3, known: 0 });
    await advance(database.db);
    expect(await seen()).toEqual([
      { judged: 2, defects: 1 },
      { judged: 0, defects: 0 },
    ]);
    expect(await storeJudgements(database.db, [judge('ad-0', false)])).toEqual({ stored: 0, known: 1 });
    const after = impressionOf({ id: 'late', unit: 'anna', arm: 'control', shown: 1, atMs: before.atMs + DAY_MS });
    await store({ ...after, query: before.query });
    await advance(database.db);
    expect(await seen()).toEqual([
      { judged: 3, defects: 1 },
      { judged: 0, defects: 0 },
    ]);
  });

  it('keep a row a UTC day, where clicks and orders count on the day of their query', async () => {
    const late = impressionOf({ id: 'late', unit: 'anna', arm: 'control', atMs: Date.UTC(2026, 2, 29, 23, 59, 59) });
    const next = impressionOf({ id: 'next', unit: 'anna', arm: 'control', atMs: Date.UTC(2026, 2, 30) });
    const click = clickOf(late, { chargeMicros: 7 });
    await store(conversionOf(click, 9));
    await advance(database.db);
    await store(click);
    await advance(database.db);
    expect(await dump('experiment_unit_days')).toEqual([]);
    await store(late, next);
    await advance(database.db);
    expect(
      await rows(
        database.db,
        sql`select day::text, queries::int, clicks::int, revenue::int, conversions::int, conversion_value::int as worth
            from experiment_unit_days order by day`,
      ),
    ).toEqual([
      { day: '2026-03-29', queries: 1, clicks: 1, revenue: 7, conversions: 1, worth: 9 },
      { day: '2026-03-30', queries: 1, clicks: 0, revenue: 0, conversions: 0, worth: 0 },
    ]);
  });

  it('say how far they are', async () => {
    const before = await watermark(database.db);
    await store(impressionOf({ id: 'a', unit: 'anna', arm: 'control' }));
    expect((await watermark(database.db)).waiting).toBe(1);
    await advance(database.db);
    const after = await watermark(database.db);
    expect(after.waiting).toBe(0);
    expect(after.transaction).toBeGreaterThan(before.transaction);
  });

  it('write nothing where there is nothing new', async () => {
    const cursor = () => rows(database.db, sql`select value::text, xmin::text from counters where name = 'rollup'`);
    await store(...TRAFFIC);
    await advance(database.db);
    const before = await cursor();
    await storeExperiment(database.db, experimentOf('other')); // a transaction that stores no event
    await advance(database.db);
    expect(await cursor()).toEqual(before);
  });

  it('stay where the database was copied from a server with higher transaction numbers', async () => {
    await store(...TRAFFIC);
    await advance(database.db);
    const expected = await everything();
    await database.db
      .update(counters)
      .set({ value: 2 ** 52 })
      .where(sql`name = 'rollup'`);
    await database.db.execute(sql`update impressions set xact = '4503599627370000'`);
    await advance(database.db);
    expect(await everything()).toEqual(expected);
    await store(impressionOf({ id: 'a', unit: 'anna', arm: 'control' }));
    await advance(database.db);
    expect(await dump('experiment_units')).toHaveLength(expected[0]!.length + 1);
  });

  it('stop at a ceiling instead of failing on absurd amounts', async () => {
    const seen = impressionOf({ id: 'a', unit: 'anna', arm: 'control' });
    const click = clickOf(seen);
    const orders = Array.from({ length: 520 }, (_, i) => ({
      ...conversionOf(click, Number.MAX_SAFE_INTEGER),
      id: `order-${i}-of-many`,
    }));
    await store(seen, click, ...orders.slice(0, 515));
    await advance(database.db);
    await store(...orders.slice(515));
    await advance(database.db);
    const ceiling = 2n ** 62n - 1n;
    expect(await rows(database.db, sql`select conversion_value::text as worth from experiment_units`)).toEqual([
      { worth: String(ceiling) },
    ]);
    const other = impressionOf({ id: 'b', unit: 'bela', arm: 'control' });
    await store(other, clickOf(other), conversionOf(clickOf(other), 3));
    const control = (await rollUp(database.db, 'test', METRICS)).arms.get('control')!;
    expect([control.units, control.sum('conversionValue')]).toEqual([2, ceiling + 3n]);
    expect(control.product('conversionValue', 'conversionValue')).toBe(ceiling ** 2n + 9n);
  });

  it('move on once when several processes advance at the same time', async () => {
    await store(...TRAFFIC);
    await Promise.all(Array.from({ length: 4 }, () => advance(database.db)));
    const once = await everything();
    await emptyEvents(database.db);
    await store(...TRAFFIC);
    await advance(database.db);
    expect(await everything()).toEqual(once);
  });

  // The embedded database has one session, so that nothing can commit while something else is open.
  it.runIf(name === 'server')('skip nothing that began early and commits late', async () => {
    const { db } = database;
    const early = impressionOf({ id: 'early', unit: 'anna', arm: 'control' });
    const late = impressionOf({ id: 'late', unit: 'bela', arm: 'treatment' });
    const stored = Promise.withResolvers<void>();
    const mayCommit = Promise.withResolvers<void>();
    const slow = db.transaction(async (tx) => {
      await ingest([early], { db: tx });
      stored.resolve();
      await mayCommit.promise;
    });
    await stored.promise;
    await store(late, clickOf(early), clickOf(late));
    await advance(db);
    expect(await watermark(db)).toMatchObject({ waiting: 3 }); // what came after the open one waits for it
    mayCommit.resolve();
    await slow;
    expect(await queries()).toEqual({ control: 1, treatment: 1 });
    const { arms } = await rollUp(db, 'test', METRICS);
    expect([...arms.values()].map((arm) => arm.sum('clicks'))).toEqual([1n, 1n]);
    expect((await watermark(db)).waiting).toBe(0);
  });
});
