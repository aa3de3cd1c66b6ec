/** Events that are forgotten, by age and of one visitor: what goes, what stays, and that no sum moves; on both databases. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { rows } from '../../../gpu-backend/db/connect.ts';
import { forgetBefore, forgetUnit } from '../../../gpu-backend/events/forget.ts';
import { noteMissing } from '../../../gpu-backend/events/missing.ts';
import { buildDetailedReport } from '../../../gpu-backend/experiments/detailed-report.ts';
import { METRICS } from '../../../gpu-backend/experiments/metrics.ts';
import { advance } from '../../../gpu-backend/experiments/rollup-advance.ts';
import type { HarnessEvent, ImpressionEvent } from '../../../shared/contract/events.ts';
import { isSum } from '../../../shared/metric.ts';
import {
  clickOf,
  conversionOf,
  emptyEvents,
  experimentOf,
  impressionOf,
  START_MS,
  storeEvents,
  storeExperiment,
  trafficOf,
} from '../../fixtures/experiment-traffic.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const DAY_MS = 86_400_000;
/** A day after all of the traffic, and long after. */
const [BEFORE_MS, NOW_MS] = [START_MS + 10 * DAY_MS, START_MS + 100 * DAY_MS];
const TRAFFIC = trafficOf({ seed: 3, units: 12, experiment: 'test' });
const count = (events: readonly HarnessEvent[], type: HarnessEvent['type']) =>
  events.filter((event) => event.type === type).length;
const OF_TRAFFIC = {
  impressions: count(TRAFFIC, 'impression'),
  exposures: count(TRAFFIC, 'impression'),
  clicks: count(TRAFFIC, 'click'),
  conversions: count(TRAFFIC, 'conversion'),
};
/** Metrics that are no quantiles of rows. */
const SUMS = new Set(METRICS.filter(isSum).map(({ key }) => key));
const NOTHING = { impressions: 0, exposures: 0, clicks: 0, conversions: 0 };
/** The query with what it led to. */
const led = (shown: ImpressionEvent) => [shown, clickOf(shown), conversionOf(clickOf(shown))];
const ALL_OF_ONE = { impressions: 1, exposures: 1, clicks: 1, conversions: 1 };

describe.each(DATABASES)('events on the %s database', (name, open) => {
  const database = useDatabase(open);
  const store = (...events: HarnessEvent[]) => storeEvents(database.db, events);
  const define = (key: string, status: 'running' | 'stopped') =>
    storeExperiment(database.db, { ...experimentOf(key), status });
  const forget = (options: { beforeMs?: number; all?: boolean; batch?: number } = {}) =>
    forgetBefore(database.db, { beforeMs: BEFORE_MS, now: () => NOW_MS, ...options });
  const dump = async (table: string) =>
    (await rows<{ row: string }>(database.db, sql.raw(`select ${table}::text as row from ${table} order by 1`))).map(
      ({ row }) => row,
    );
  const rollups = () => Promise.all(['experiment_units', 'experiment_unit_days', 'experiment_arm_days'].map(dump));
  const stored = async () =>
    Object.fromEntries(
      await Promise.all(Object.keys(NOTHING).map(async (table) => [table, (await dump(table)).length] as const)),
    );

  /** What a report says from sums, and which of its checks alarm. */
  const report = async () => {
    const { metrics, verdicts, anytime, segments, checks } = await buildDetailedReport(database.db, 'test');
    return {
      ...{ verdicts, anytime, segments },
      metrics: metrics.filter(({ metric }) => SUMS.has(metric)),
      alarms: checks.filter(({ severity }) => severity === 'alarm'),
    };
  };

  beforeEach(async () => {
    await emptyEvents(database.db, 'experiments', 'counters', 'missing_exposures');
  });

  it('of before an instant go with all that hangs on them, in batches, and the sums stay', async () => {
    await define('test', 'stopped');
    const young = impressionOf({ id: 'young', unit: 'anna', arm: 'control', experiment: 'none', atMs: BEFORE_MS });
    await store(...TRAFFIC, ...led(young));
    await advance(database.db);
    const before = await rollups();
    const told = await report();
    expect(OF_TRAFFIC.clicks * OF_TRAFFIC.conversions).toBeGreaterThan(0);
    expect(await forget({ batch: 7 })).toEqual({ ...OF_TRAFFIC, kept: 0, experiments: [] });
    expect(await stored()).toEqual(ALL_OF_ONE);
    expect(await rollups()).toEqual(before);
    expect(await report()).toEqual(told);
    expect(await forget()).toEqual({ ...NOTHING, kept: 0, experiments: [] });
  });

  it('that were not rolled up yet are first', async () => {
    await define('test', 'stopped');
    await store(...TRAFFIC);
    await advance(database.db);
    const expected = await rollups();
    await emptyEvents(database.db, 'counters');
    await store(...TRAFFIC);
    expect(await forget()).toMatchObject(OF_TRAFFIC);
    expect(await rollups()).toEqual(expected);
  });

  it.runIf(name === 'server')('that cannot be rolled up yet stay', async () => {
    const shown = impressionOf({ id: 'a', unit: 'anna', arm: 'control' });
    await store(shown);
    await database.db.transaction(async (tx) => {
      await tx.execute(sql`select pg_current_xact_id()`); // what others store meanwhile waits for it
      await store(clickOf(shown), impressionOf({ id: 'b', unit: 'anna', arm: 'control' }));
      expect(await forget()).toEqual({ ...NOTHING, kept: 2, experiments: [] });
    });
    expect(await forget()).toEqual({ ...NOTHING, impressions: 2, exposures: 2, clicks: 1, kept: 0, experiments: [] });
    expect(await dump('experiment_units')).toHaveLength(1);
  });

  it('stay while one of their experiments runs or ended later, unless all are asked for', async () => {
    await define('ended', 'stopped');
    await define('running', 'running');
    await define('later', 'stopped');
    const inBoth = impressionOf({ id: 'both', unit: 'anna', arm: 'control', experiment: 'ended' });
    inBoth.assignments.push({ experiment: 'running', layer: 'other', arm: 'control' });
    const alone = impressionOf({ id: 'alone', unit: 'bela', arm: 'control', experiment: 'ended' });
    const early = impressionOf({ id: 'early', unit: 'cleo', arm: 'control', experiment: 'later' });
    const late = impressionOf({ id: 'late', unit: 'cleo', arm: 'control', experiment: 'later', atMs: BEFORE_MS });
    await store(...led(inBoth), ...led(alone), ...led(early), ...led(late));
    await advance(database.db);
    const before = await rollups();
    const experiments = ['later', 'running'];
    // the ended one's exposures go together, also of what another needs
    expect(await forget()).toEqual({ ...ALL_OF_ONE, exposures: 2, kept: 2, experiments });
    expect(await dump('exposures')).toHaveLength(3);
    expect(await forget({ batch: 1 })).toEqual({ ...NOTHING, kept: 2, experiments });
    expect(await forget({ all: true })).toEqual({
      ...{ impressions: 2, exposures: 2, clicks: 2, conversions: 2 },
      ...{ kept: 0, experiments: [] },
    });
    expect(await stored()).toEqual(ALL_OF_ONE);
    expect(await rollups()).toEqual(before);
  });

  it('leave the rollups right for units that come again', async () => {
    await define('test', 'running');
    const again = trafficOf({ seed: 4, units: 12, experiment: 'test' }).map((event) => ({
      ...event,
      atMs: event.atMs + 20 * DAY_MS,
    }));
    await store(...TRAFFIC, ...again);
    await advance(database.db);
    const expected = await rollups();
    await emptyEvents(database.db, 'counters');
    await store(...TRAFFIC);
    await forget({ all: true });
    await store(...again);
    await advance(database.db);
    expect(await rollups()).toEqual(expected);
    expect(await stored()).not.toMatchObject({ impressions: OF_TRAFFIC.impressions + count(again, 'impression') });
  });

  it('stay in the rollups of a database that was copied from a server with higher transaction numbers', async () => {
    await define('test', 'stopped');
    const shown = impressionOf({ id: 'later', unit: 'anna', arm: 'control', atMs: BEFORE_MS });
    await store(...TRAFFIC);
    await forget({ all: true });
    const forgotten = await rollups();
    await store(...led(shown));
    await advance(database.db);
    const expected = await rollups();

    await emptyEvents(database.db, 'counters');
    await store(...TRAFFIC);
    await forget({ all: true });
    expect(await rollups()).toEqual(forgotten);
    await store(shown);
    await advance(database.db);
    await store(...led(shown).slice(1)); // not in yet
    for (const table of ['impressions', 'clicks', 'conversions', 'judgements'])
      await database.db.execute(
        sql.raw(`update ${table} set xact = (xact::text::bigint + (1::bigint << 50))::text::xid8`),
      );
    await database.db.execute(sql`update counters set value = value + (1::bigint << 50) where name = 'rollup'`);
    await advance(database.db);
    expect(await rollups()).toEqual(expected);
    await advance(database.db);
    expect(await rollups()).toEqual(expected);
  });

  it('whose impression never came go, too, and so do exposures that were missing and came', async () => {
    const shown = impressionOf({ id: 'a', unit: 'anna', arm: 'control' });
    const young = clickOf({ id: 'never-came', atMs: BEFORE_MS });
    await store(...led(shown).slice(1), young);
    const missing = { experiment: 'test', arm: 'control', atMs: START_MS };
    await noteMissing(database.db, [
      { ...missing, impressionId: shown.id },
      { ...missing, impressionId: 'lost' },
    ]);
    expect(await forget()).toMatchObject({ ...NOTHING, clicks: 1, conversions: 1 });
    expect(await dump('clicks')).toHaveLength(1);
    await store(shown);
    await forget();
    expect(await rows(database.db, sql`select impression_id as id from missing_exposures`)).toEqual([{ id: 'lost' }]);
  });

  it('of less than thirty days ago are not forgotten', async () => {
    await store(impressionOf({ id: 'a', unit: 'anna', arm: 'control' }));
    await expect(forget({ beforeMs: NOW_MS - 29 * DAY_MS })).rejects.toMatchObject({ code: 'bad_request' });
    expect(await dump('impressions')).toHaveLength(1);
  });

  it('of one visitor go, the sums stay under another name, and come again they are of another unit', async () => {
    await define('test', 'running');
    const [anna, bela] = ['anna', 'bela'].map((unit) =>
      led(impressionOf({ id: unit, unit: `unit-of-${unit}`, arm: 'control' })),
    );
    await store(...anna!, ...bela!);
    await advance(database.db);
    const before = await dump('experiment_arm_days');
    expect(await forgetUnit(database.db, 'unit-of-anna')).toEqual({ ...ALL_OF_ONE, renamed: 2, kept: 0 });
    expect(await stored()).toEqual(ALL_OF_ONE);
    const tables = ['impressions', 'exposures', 'clicks', 'experiment_units', 'experiment_unit_days'];
    const left = (await Promise.all(tables.map(dump))).flat().join();
    expect(left).not.toContain('anna');
    expect(left).toContain('unit-of-bela');
    expect(await dump('experiment_arm_days')).toEqual(before);
    expect(await forgetUnit(database.db, 'unit-of-anna')).toEqual({ ...NOTHING, renamed: 0, kept: 0 });

    await store(impressionOf({ id: 'again', unit: 'unit-of-anna', arm: 'treatment' }));
    await advance(database.db);
    expect(await rows(database.db, sql`select arm, mixed from experiment_units order by arm`)).toEqual([
      { arm: 'control', mixed: false },
      { arm: 'control', mixed: false },
      { arm: 'treatment', mixed: false },
    ]);
  });

  it.runIf(name === 'server')('of one visitor that cannot be rolled up yet stay, and the name with them', async () => {
    const [shown, other] = ['a', 'b'].map((id) => impressionOf({ id, unit: 'anna', arm: 'control' }));
    await store(shown!, other!);
    await advance(database.db);
    await database.db.transaction(async (tx) => {
      await tx.execute(sql`select pg_current_xact_id()`); // what others store meanwhile waits for it
      await store(clickOf(shown!), impressionOf({ id: 'c', unit: 'anna', arm: 'control' }));
      const gone = { ...NOTHING, impressions: 1, exposures: 1 };
      expect(await forgetUnit(database.db, 'anna')).toEqual({ ...gone, renamed: 0, kept: 2 });
    });
    const rest = { ...NOTHING, impressions: 2, exposures: 2, clicks: 1 };
    expect(await forgetUnit(database.db, 'anna')).toEqual({ ...rest, renamed: 2, kept: 0 });
    const sums = sql`select units::int, queries::int, clicks::int from experiment_arm_days`;
    expect(await rows(database.db, sums)).toEqual([{ units: 1, queries: 3, clicks: 1 }]);
  });

  it('of one visitor that were missing and came are missing no more', async () => {
    const shown = impressionOf({ id: 'a', unit: 'anna', arm: 'control' });
    const missing = { experiment: 'test', arm: 'control', atMs: START_MS };
    await noteMissing(
      database.db,
      [shown.id, 'lost'].map((impressionId) => ({ ...missing, impressionId })),
    );
    await store(shown);
    await forgetUnit(database.db, 'anna');
    expect(await rows(database.db, sql`select impression_id as id from missing_exposures`)).toEqual([{ id: 'lost' }]);
  });

  it('of a visitor who has no id that can be are none', async () => {
    await expect(forgetUnit(database.db, 'a\0b')).rejects.toMatchObject({ code: 'bad_request' });
  });
});
