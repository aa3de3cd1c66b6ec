import { beforeEach, describe, expect, it } from 'vitest';
import { buildDetailedReport } from '../../../gpu-backend/experiments/detailed-report.ts';
import { METRICS } from '../../../gpu-backend/experiments/metrics.ts';
import { readRows, timeline } from '../../../gpu-backend/experiments/timeline.ts';
import type { HarnessEvent } from '../../../shared/contract/events.ts';
import type { ExperimentReport } from '../../../shared/contract/experiments.ts';
import { DetailedReport } from '../../../shared/contract/report-detail.ts';
import { ExperimentDefinition } from '../../../shared/experiment-definition.ts';
import { isSum, MeasureName } from '../../../shared/metric.ts';
import {
  clickOf,
  conversionOf,
  emptyEvents,
  experimentOf,
  impressionOf,
  rollUp,
  START_MS,
  storeEvents,
  storeExperiment,
  trafficOf,
} from '../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../fixtures/random.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { expectClose, meanSums, ratioSums } from './golden.ts';

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const uniform = uniforms(seed);
  return items
    .map((item) => ({ item, at: uniform() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** What the rollup should find, computed from the events one by one. */
function oracle(events: readonly HarnessEvent[]) {
  const shown = new Map(events.flatMap((e) => (e.type === 'impression' && !e.bot ? [[e.id, e] as const] : [])));
  const clicked = new Map(events.flatMap((e) => (e.type === 'click' && !e.bot ? [[e.id, e] as const] : [])));
  const units = new Map<string, { arms: Set<string>; sums: Record<MeasureName, number> }>();
  const of = (unitId: string) => {
    const sums = Object.fromEntries(MeasureName.options.map((name) => [name, 0])) as Record<MeasureName, number>;
    if (!units.has(unitId)) units.set(unitId, { arms: new Set(), sums });
    return units.get(unitId)!;
  };
  for (const impression of shown.values()) {
    const unit = of(impression.unitId);
    unit.arms.add(impression.assignments[0]!.arm);
    unit.sums.queries += 1;
    unit.sums.shown += impression.slots.length;
    unit.sums.covered += impression.slots.length > 0 ? 1 : 0;
  }
  for (const click of clicked.values()) {
    const impression = shown.get(click.impressionId);
    if (impression === undefined) continue;
    of(impression.unitId).sums.clicks += 1;
    of(impression.unitId).sums.revenue += click.chargeMicros;
  }
  for (const event of events) {
    const click = event.type === 'conversion' ? clicked.get(event.clickId) : undefined;
    const impression = click && shown.get(click.impressionId);
    if (event.type !== 'conversion' || impression === undefined) continue;
    of(impression.unitId).sums.conversions += 1;
    of(impression.unitId).sums.conversionValue += event.valueMicros;
  }
  return [...units.values()];
}

describe.each(DATABASES)('report on the %s database', (_name, open) => {
  const database = useDatabase(open);
  beforeEach(() => emptyEvents(database.db, 'experiments'));

  const store = (...events: HarnessEvent[]) => storeEvents(database.db, events);
  const report = (key = 'test') => buildDetailedReport(database.db, key);
  const metric = (found: ExperimentReport, key: string) => found.metrics.find((m) => m.metric === key)!.arms;

  it('of an experiment without events has nulls and no NaN, and is deterministic', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const found = await report();
    expect(DetailedReport.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    expect(found).toMatchObject({ from: null, to: null, confidence: 0.95, excluded: { bots: 0, mixedUnits: 0 } });
    expect(found.arms).toEqual([
      { arm: 'control', units: 0, queries: 0 },
      { arm: 'treatment', units: 0, queries: 0 },
    ]);
    for (const { arms } of found.metrics)
      for (const arm of arms) expect(arm).toMatchObject({ total: 0, value: null, standardError: null, effect: null });
    expect(found.checks[0]).toMatchObject({ severity: 'unknown', received: 'no units yet' });
  });

  it('counts queries, ads, clicks, money and orders of each arm', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const a1 = impressionOf({ id: 'a1', unit: 'anna', arm: 'control', shown: 4 });
    const a2 = impressionOf({ id: 'a2', unit: 'anna', arm: 'control', shown: 0, atMs: START_MS + 61_000 });
    const b1 = impressionOf({ id: 'b1', unit: 'bela', arm: 'control', shown: 2 });
    const c1 = impressionOf({ id: 'c1', unit: 'cleo', arm: 'treatment', shown: 3 });
    const d1 = impressionOf({ id: 'd1', unit: 'dora', arm: 'treatment', shown: 3 });
    const bought = clickOf(c1, { position: 2, chargeMicros: 700_000 });
    await store(a1, a2, b1, c1, d1, clickOf(a1, { chargeMicros: 300_000 }), clickOf(c1), bought, conversionOf(bought));
    const found = await report();
    expect(found.arms).toEqual([
      { arm: 'control', units: 2, queries: 3 },
      { arm: 'treatment', units: 2, queries: 2 },
    ]);
    expect(found).toMatchObject({ from: '2026-03-29T00:30:00.000Z', to: '2026-03-29T00:31:01.000Z' });
    const totals = Object.fromEntries(found.metrics.map(({ metric, arms }) => [metric, arms.map((a) => a.total)]));
    expect(totals).toEqual({
      revenue: [300_000, 800_000],
      revenue_capped: [300_000, 800_000],
      rpm: [300_000, 800_000],
      cpc: [300_000, 800_000],
      impressions: [6, 6],
      clicks: [1, 2],
      ctr: [1, 2],
      coverage: [2, 2],
      ads_per_query: [6, 6],
      conversions: [0, 1],
      advertiser_value: [0, 20_000_000],
      queries: [3, 2],
      cache_hits: [0, 0],
      defect_rate: [0, 0],
      latency_p95: [2, 2],
    });
    const values = Object.fromEntries(found.metrics.map(({ metric, arms }) => [metric, arms.map((a) => a.value)]));
    expect(values).toMatchObject({
      revenue: [150_000, 400_000],
      rpm: [100_000_000, 400_000_000],
      impressions: [3, 3],
      ctr: [1 / 6, 1 / 3],
      coverage: [2 / 3, 1],
      conversions: [0, 0.5],
    });
    // anna and bela: 300,000 and 0; cleo and dora: 800,000 and 0
    expectClose(metric(found, 'revenue')[1]!.standardError, Math.sqrt(800_000 ** 2 / 2 / 2));
    expect(metric(found, 'revenue')[0]!.effect).toBeNull();
    expectClose(metric(found, 'revenue')[1]!.effect!.absolute, 250_000);
    expect(metric(found, 'conversions')[1]!.effect).toMatchObject({ relative: null, significant: false });
  });

  it('of an arm that nobody clicks in has no number that is none', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const shown = Array.from({ length: 12 }, (_, i) =>
      impressionOf({ id: `${i}`, unit: `unit-${i}`, arm: i < 6 ? 'control' : 'treatment' }),
    );
    await store(...shown, ...shown.slice(0, 3).map((impression) => clickOf(impression)));
    const found = await report();
    expect(DetailedReport.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    expect(metric(found, 'clicks')[1]).toMatchObject({ value: 0, effect: { absolute: -0.5 } });
    expect(metric(found, 'clicks')[1]).not.toHaveProperty('posterior');
  });

  it('equals what the events say one by one: sums, squares and products over units', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const events = trafficOf({ seed: 1, units: 150, experiment: 'test' });
    await store(...events);
    const found = await rollUp(database.db, 'test', METRICS);
    const units = oracle(events);
    const bots = events.filter((e) => e.type === 'impression' && e.bot).length;
    expect(bots).toBeGreaterThan(0);
    expect(found.bots).toBe(bots);
    const mixed = units.filter(({ arms }) => arms.size > 1);
    expect(mixed.length).toBeGreaterThan(0);
    expect(found.mixedUnits).toBe(mixed.length);
    for (const arm of ['control', 'treatment']) {
      const rollup = found.arms.get(arm)!;
      const own = units.filter(({ arms }) => arms.size === 1 && arms.has(arm)).map(({ sums }) => sums);
      expect(rollup.units).toBe(own.length);
      for (const { numerator: y, denominator: x } of METRICS.filter(isSum)) {
        const mean = meanSums(own.map((sums) => sums[y]));
        expect([y, rollup.sum(y), rollup.product(y, y)]).toEqual([y, mean.sum, mean.squares]);
        if (x === undefined) continue;
        const { xy, xx } = ratioSums(
          own.map((sums) => sums[y]),
          own.map((sums) => sums[x]),
        );
        expect([y, x, rollup.product(x, y), rollup.product(x, x)]).toEqual([y, x, xy, xx]);
      }
    }
  });

  it('is the same to the byte whatever the order and however often the events come', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const events = trafficOf({ seed: 2, units: 60, experiment: 'test' });
    await store(...events);
    const first = JSON.stringify(await report());
    expect(first).toContain('"significant"');
    for (const seed of [1, 2]) {
      await emptyEvents(database.db);
      await store(...shuffled([...events, ...shuffled(events, seed).slice(0, 100)], seed + 10));
      await store(...shuffled(events, seed + 20));
      expect(JSON.stringify(await report())).toBe(first);
    }
  });

  it('leaves out bots, clicks of bots and units seen in several arms, and says how many', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const clean = trafficOf({ seed: 3, units: 40, experiment: 'test' }).filter(
      (event) => event.type !== 'impression' || !event.bot,
    );
    await store(...clean);
    const before = await report();
    const bot = impressionOf({ id: 'bot', unit: 'crawler', arm: 'control', shown: 4, bot: true });
    const both = ['control', 'treatment'].map((arm) => impressionOf({ id: `both-${arm}`, unit: 'both', arm }));
    const counted = clean.find((event) => event.type === 'impression')!;
    await store(bot, clickOf(bot), ...both, clickOf(both[0]!), clickOf(counted, { position: 9, bot: true }));
    const after = await report();
    expect(after.metrics).toEqual(before.metrics);
    expect(after.checks[0]).toEqual(before.checks[0]);
    expect(after.excluded).toEqual({ bots: 1, mixedUnits: before.excluded.mixedUnits + 1 });
  });

  it('leaves out clicks whose impression is not there, until it comes', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const late = impressionOf({ id: 'late', unit: 'anna', arm: 'control' });
    const click = clickOf(late);
    await store(conversionOf(click), click);
    expect(metric(await report(), 'clicks')[0]).toMatchObject({ total: 0 });
    await store(late);
    const found = await report();
    expect(metric(found, 'clicks')[0]).toMatchObject({ total: 1 });
    expect(metric(found, 'conversions')[0]).toMatchObject({ total: 1 });
  });

  it('keeps experiments apart, and alarms for an arm that the definition lost', async () => {
    await storeExperiment(database.db, experimentOf('test', { control: 1, treatment: 1 }));
    await storeExperiment(database.db, experimentOf('other', { control: 19, treatment: 1 }));
    await store(
      ...Array.from({ length: 40 }, (_, i) =>
        impressionOf({ id: `o${i}`, unit: `o${i}`, arm: i % 20 === 0 ? 'treatment' : 'control', experiment: 'other' }),
      ),
      impressionOf({ id: 'x', unit: 'x', arm: 'dropped' }),
    );
    expect((await report('other')).arms).toEqual([
      { arm: 'control', units: 38, queries: 38 },
      { arm: 'treatment', units: 2, queries: 2 },
    ]);
    const found = await report();
    expect(found.arms.at(-1)).toEqual({ arm: 'dropped', units: 1, queries: 1 });
    expect(found.checks[0]).toMatchObject({ severity: 'alarm', action: expect.stringContaining('no arm dropped') });
    expect(DetailedReport.safeParse(found).success).toBe(true);
  });

  it("has the experiment's own metrics, which need no code, behind those of all", async () => {
    const own = {
      key: 'value_per_click',
      title: 'Value per click',
      totalTitle: 'Value',
      unit: 'micros',
      direction: 'increase',
    };
    const metrics = [{ ...own, numerator: 'conversionValue', denominator: 'clicks', capQuantile: 0.99 }];
    await storeExperiment(database.db, ExperimentDefinition.parse({ ...experimentOf('test'), metrics }));
    const first = impressionOf({ id: 'a', unit: 'anna', arm: 'control', shown: 4 });
    const second = impressionOf({ id: 'b', unit: 'bela', arm: 'control', shown: 4 });
    await store(first, second, clickOf(first), clickOf(second), conversionOf(clickOf(first)));
    const found = (await report()).metrics.at(-1)!;
    expect(found).toMatchObject({ metric: 'value_per_click', totalTitle: 'Value' });
    expect(found.arms[0]).toMatchObject({ total: 20_000_000, value: 10_000_000 });
  });

  it('has quantiles of times and shares of cache states that an experiment declares in JSON', async () => {
    const declared = JSON.parse(`[
      { "key": "p80_encode", "title": "Encoding, 80th percentile", "kind": "quantile", "of": "encodeMs", "quantile": 0.8,
        "unit": "ms", "direction": "decrease" },
      { "key": "cached_per_unit", "title": "Answers from a cache", "numerator": "cached", "unit": "count", "direction": "none" }
    ]`);
    await storeExperiment(database.db, ExperimentDefinition.parse({ ...experimentOf('test'), metrics: declared }));
    const answer = (unit: number, encodeMs: number, status: 'miss' | 'kv') => {
      const arm = unit % 2 === 0 ? 'control' : 'treatment';
      const impression = impressionOf({ id: `${unit}-${encodeMs}`, unit: `u${unit}`, arm });
      return { ...impression, cache: { status, ageMs: 0 }, timings: { ...impression.timings, encodeMs } };
    };
    await store(
      ...Array.from({ length: 40 }, (_, unit) =>
        [1, 2, 3, 4, 5].map((ms) => answer(unit, ms + 10 * (unit % 2), 'kv')),
      ).flat(),
      ...Array.from({ length: 40 }, (_, unit) => answer(unit, 0.5, 'miss')),
    );
    const found = await report();
    const slow = found.metrics.find((each) => each.metric === 'p80_encode')!;
    // 20 units an arm; of the six times of each, four fifths are at or below the fifth
    expect(slow).toMatchObject({ unit: 'ms', direction: 'decrease' });
    expect(slow.arms.map(({ total, value }) => [total, value])).toEqual([
      [20, 4],
      [20, 14],
    ]);
    expect(metric(found, 'cached_per_unit').map(({ value }) => value)).toEqual([5, 5]);
    expect(metric(found, 'cache_hits').map(({ value }) => value)).toEqual([5 / 6, 5 / 6]);
    expect(found).toEqual(await report());
  });

  it('refuses an unknown key and a confidence that is none', async () => {
    await expect(report('nothing')).rejects.toMatchObject({ code: 'not_found', message: /"nothing"/ });
    await expect(buildDetailedReport(database.db, 'nothing', { confidence: 95 })).rejects.toMatchObject({
      code: 'bad_request',
    });
  });

  it('draws traffic in steps of UTC with 0 where nothing happened', async () => {
    await storeExperiment(database.db, experimentOf('test'));
    const atMs = Date.UTC(2026, 5, 1, 12);
    await store(
      impressionOf({ id: '1', unit: 'a', arm: 'control', shown: 2, atMs }),
      impressionOf({ id: '2', unit: 'b', arm: 'treatment', shown: 4, atMs: atMs + 59_999 }),
      impressionOf({ id: '3', unit: 'b', arm: 'treatment', shown: 1, atMs: atMs + 20 * 60_000 }),
      impressionOf({ id: '4', unit: 'c', arm: 'control', bot: true, atMs }),
    );
    const { stepMs, points } = await timeline(database.db, 'test', {
      fromMs: atMs,
      toMs: atMs + 20 * 60_000,
      arms: ['control', 'treatment'],
    });
    expect(stepMs).toBe(60_000);
    expect(points).toHaveLength(2 * 21);
    expect(points.filter(({ queries }) => queries > 0)).toEqual([
      { atMs, arm: 'control', queries: 1, shown: 2 },
      { atMs, arm: 'treatment', queries: 1, shown: 4 },
      { atMs: atMs + 20 * 60_000, arm: 'treatment', queries: 1, shown: 1 },
    ]);
  });

  it.each([
    [40, 86_400_000],
    [200, 604_800_000],
  ])(
    'draws the traffic of %i days as the rows are: by rollups, without bots and units of several arms',
    async (days, step) => {
      await storeExperiment(database.db, experimentOf('test'));
      const random = uniforms(days);
      await store(
        ...Array.from({ length: 300 }, (_, i) => {
          const unit = Math.floor(random() * 60);
          const moved = unit % 10 === 0 && random() < 0.5; // some are seen in both arms
          return impressionOf({
            id: `${i}`,
            unit: `unit-${unit}`,
            arm: (unit % 2 === 0) !== moved ? 'control' : 'treatment',
            shown: Math.floor(random() * 5),
            bot: random() < 0.1,
            atMs: START_MS + Math.floor(random() * days * 86_400_000),
          });
        }),
      );
      const { from, to, arms } = await report();
      const span = { fromMs: Date.parse(from!), toMs: Date.parse(to!) };
      const { stepMs, points } = await timeline(database.db, 'test', { ...span, arms: ['control', 'treatment'] });
      expect(stepMs).toBe(step);
      const rows = await readRows(database.db, 'test', { ...span, stepMs });
      const drawn = points
        .filter(({ queries }) => queries > 0)
        .map(({ atMs, ...rest }) => ({ step: atMs / stepMs, ...rest }));
      const inOrder = (found: typeof rows) => found.toSorted((a, b) => a.step - b.step || (a.arm < b.arm ? -1 : 1));
      expect(inOrder(drawn)).toEqual(inOrder(rows));
      for (const { arm, queries } of arms)
        expect(points.reduce((sum, point) => sum + (point.arm === arm ? point.queries : 0), 0)).toBe(queries);
    },
  );
});
