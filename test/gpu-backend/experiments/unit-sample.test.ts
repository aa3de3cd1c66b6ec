/** What is read of single units, and that units of several arms are not among them. */
import { createHash } from 'node:crypto';
import { type SQL, sql } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Database, rows } from '../../../gpu-backend/db/connect.ts';
import { capsOf } from '../../../gpu-backend/experiments/caps.ts';
import { gatherEvidence } from '../../../gpu-backend/experiments/checks/gather.ts';
import { METRICS } from '../../../gpu-backend/experiments/metrics.ts';
import { readRollup } from '../../../gpu-backend/experiments/rollup.ts';
import { advance } from '../../../gpu-backend/experiments/rollup-advance.ts';
import { readUnits } from '../../../gpu-backend/experiments/self-test.ts';
import { readSample, sampledUnits } from '../../../gpu-backend/experiments/unit-sample.ts';
import { isSum, type SumMetric } from '../../../shared/metric.ts';
import {
  clickOf,
  experimentOf,
  impressionOf,
  rollUp,
  START_MS,
  storeEvents,
  storeExperiment,
} from '../../fixtures/experiment-traffic.ts';
import { openEmbeddedDatabase } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const byHash = (ids: readonly string[]) => ids.toSorted((a, b) => (md5(a) < md5(b) ? -1 : 1));

describe('single units', () => {
  const database = useDatabase(openEmbeddedDatabase);
  beforeAll(async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const shown = (id: string, unit: string, { arm = 'control', query = id, atMs = START_MS } = {}) => ({
      ...impressionOf({ id, unit, arm, atMs }),
      query,
    });
    const whale = shown('w1', 'whale');
    const small = [1, 2, 3, 4].map((i) => shown(`s${i}`, `small-${i}`));
    await storeEvents(database.db, [
      shown('a1', 'again', { query: 'sofa' }),
      shown('a2', 'again', { query: 'sofa', atMs: START_MS + 5_000 }), // asked twice
      shown('t1', 'twice', { query: 'sofa' }),
      shown('t2', 'twice', { query: 'sofa' }), // logged twice
      whale,
      clickOf(whale, { chargeMicros: 1_000_000 }),
      shown('w2', 'whale', { arm: 'treatment' }), // in both arms
      ...small,
      ...small.map((impression, i) => clickOf(impression, { chargeMicros: 10 * (i + 1) })),
    ]);
    await advance(database.db);
  });

  it('are sampled by their hashes; a query asked again is no duplicate, one at the same instant is', async () => {
    const sample = await readSample(database.db, 'test', []);
    const expected = ['again', 'twice', 'small-1', 'small-2', 'small-3', 'small-4'];
    expect(sample.map(({ unitId }) => unitId)).toEqual(byHash(expected));
    const duplicates = Object.fromEntries(sample.map((unit) => [unit.unitId, unit.duplicates]));
    expect([duplicates.again, duplicates.twice]).toEqual([0, 1]);
  });

  it('that are too many are those with the smallest hashes, whatever their names', async () => {
    await database.db.execute(
      sql`insert into experiment_units (experiment, unit_id, arm, mixed, bots, queries, covered, shown, clicks, revenue, conversions, conversion_value, cached, judged, defects)
          select 'many', 'unit-' || i, 'control', false, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 from generate_series(1, 2200) i`,
    );
    const found = await rows<{ unit_id: string }>(database.db, sampledUnits('many'));
    const all = Array.from({ length: 2_200 }, (_, i) => `unit-${i + 1}`);
    expect(found.map(({ unit_id }) => unit_id)).toEqual(byHash(all).slice(0, 2_000));
  });

  it('of many queries are as many as have the rows that are read of a sample, and one at least', async () => {
    const sampled = async () =>
      (await rows<{ unit_id: string }>(database.db, sampledUnits('busy'))).map(({ unit_id }) => unit_id);
    await database.db.execute(
      sql`insert into experiment_units (experiment, unit_id, arm, mixed, bots, queries, covered, shown, clicks, revenue, conversions, conversion_value, cached, judged, defects)
          select 'busy', 'us@' || i, 'control', false, 0, 400000, 0, 0, 0, 0, 0, 0, 0, 0, 0 from generate_series(1, 20) i`,
    );
    const all = byHash(Array.from({ length: 20 }, (_, i) => `us@${i + 1}`));
    expect(await sampled()).toEqual(all.slice(0, 3));
    await database.db.execute(sql`update experiment_units set queries = 5000000 where experiment = 'busy'`);
    expect(await sampled()).toEqual(all.slice(0, 1));
  });

  it('that are no visitors: the same query of two visitors at one instant is no duplicate', async () => {
    const shown = (id: string, visitor: string) => ({
      ...impressionOf({ id, unit: visitor, arm: 'control' }),
      query: 'sofa',
      assignments: [{ experiment: 'windows', layer: 'retrieval', arm: 'control', unitId: 'us@7' }],
    });
    await storeEvents(database.db, [shown('v1', 'ann'), shown('v2', 'bob'), shown('v3', 'bob')]);
    await advance(database.db);
    const [unit] = await readSample(database.db, 'windows', []);
    expect(unit).toMatchObject({ unitId: 'us@7', queries: 3, duplicates: 1 });
  });

  it('have the ages of what caches held, none of which is below 0, or so great that a sum fails', async () => {
    const aged = (id: string, unit: string, ageMs: number) => ({
      ...impressionOf({ id, unit, arm: 'control', experiment: 'aged' }),
      cache: { status: 'memory' as const, ageMs },
    });
    await storeEvents(database.db, [
      ...[0.4, 0.4, 7, -3].map((ageMs, i) => aged(`g${i}`, 'usual', ageMs)),
      ...[1.7e308, 1.7e308].map((ageMs, i) => aged(`h${i}`, 'absurd', ageMs)),
    ]);
    await advance(database.db);
    const ages = (await readSample(database.db, 'aged', [])).map(({ unitId, ageMs }) => [unitId, ageMs]);
    expect(Object.fromEntries(ages)).toEqual({ usual: 7, absurd: 2e15 });
  });

  it('have clicks that may still convert as long as the newest query is not a week and an hour older', async () => {
    const experiment = experimentOf('open');
    await storeExperiment(database.db, experiment);
    const shown = (id: string, unit: string, atMs: number) => ({
      ...impressionOf({ id, unit, arm: 'control', atMs }),
      assignments: [{ experiment: 'open', layer: 'retrieval', arm: 'control' }],
    });
    const newestMs = START_MS + 20 * 86_400_000;
    const openMs = newestMs - 7 * 86_400_000 - 3_600_000;
    const old = shown('o1', 'old', START_MS);
    await storeEvents(database.db, [
      old,
      ...[openMs - 1, openMs, openMs + 1, newestMs].map((atMs, i) => ({ ...clickOf(old), id: `o1-click-${i}`, atMs })),
      shown('o2', 'newest', newestMs),
    ]);
    await advance(database.db);
    const { sample } = await gatherEvidence(database.db, experiment, readRollup(database.db, 'open', METRICS));
    expect(sample.map(({ clicks, openClicks }) => [clicks, openClicks]).sort()).toEqual([
      [0, 0],
      [4, 2],
    ]);
  });

  it('that the self-test deals are of one arm', async () => {
    const units = await readUnits(database.db, 'test', METRICS.filter(isSum));
    expect(units.map(({ unitId }) => unitId)).not.toContain('whale');
    expect(units).toHaveLength(6);
  });

  it('above a cap take nothing off the sums where they are of several arms', async () => {
    const capped: SumMetric = { ...METRICS.filter(isSum)[0]!, numerator: 'revenue', capQuantile: 0.8 };
    delete (capped as { denominator?: unknown }).denominator;
    const { arms, mixedUnits } = await rollUp(database.db, 'test', [{ ...capped, key: 'capped' }]);
    expect(mixedUnits).toBe(1);
    // the units that count came to 0, 0, 10, 20, 30 and 40: five of six are not above 30
    expect(arms.get('control')!.sum('revenue up to 0.8')).toBe(90n);
  });

  it('that are triggered or mixed while a report is read count there for what is known of them', async () => {
    const windowed: SumMetric = { ...METRICS.filter(isSum)[0]!, key: 'windowed', numerator: 'clicks', windowDays: 7 };
    delete (windowed as { denominator?: unknown }).denominator;
    const dialect = new PgDialect();
    const move = (triggered: number) =>
      sql`update experiment_units set compared = queries, triggered = ${triggered} where experiment = 'test'`;
    const meanwhile: Database = new Proxy(database.db, {
      get(target, name) {
        if (name !== 'execute') return Reflect.get(target, name);
        return async (query: SQL) => {
          // Sums by the unit come last: by now every unit is in another cell than in the sums by arm.
          if (dialect.sqlToQuery(query).sql.includes(' as small')) await target.execute(move(1));
          return target.execute(query);
        };
      },
    });
    const { arms } = await readRollup(meanwhile, 'test', [windowed]);
    expect(arms.get('control')).toMatchObject({ units: 6, queries: 8 });
    expect(arms.get('control')!.sum('clicks of 7 days')).toBe(0n);
    // The sums by arm still have units where there are none.
    await database.db.execute(sql`update experiment_units set mixed = true where experiment = 'test'`);
    const capped = { measure: 'revenue', capQuantile: 0.8 } as const;
    expect([...(await capsOf(database.db, 'test', [capped]))]).toEqual([]);
  });
});
