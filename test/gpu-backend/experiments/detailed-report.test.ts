import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { renderDashboard } from '../../../gpu-backend/dashboard/page.ts';
import { rows } from '../../../gpu-backend/db/connect.ts';
import { buildDetailedReport } from '../../../gpu-backend/experiments/detailed-report.ts';
import { reportTable } from '../../../scripts/report-table.ts';
import type { HarnessEvent } from '../../../shared/contract/events.ts';
import { DetailedReport } from '../../../shared/contract/report-detail.ts';
import { Experiment, INTERLEAVED } from '../../../shared/experiment.ts';
import { ExperimentDefinition } from '../../../shared/experiment-definition.ts';
import {
  clickOf,
  emptyEvents,
  experimentOf,
  impressionOf,
  storeEvents,
  storeExperiment,
  trafficOf,
} from '../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../fixtures/random.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const DAY_MS = 86_400_000;

/** The events dealt over so many days, those of one unit on several of them. */
function overDays(events: readonly HarnessEvent[], days: number): HarnessEvent[] {
  const dayOf = new Map<string, number>();
  const uniform = uniforms(5);
  return events.map((event) => {
    const root = event.id.replace(/^order-/, '').split(':')[0]!;
    if (!dayOf.has(root)) dayOf.set(root, Math.floor(uniform() * days));
    return { ...event, atMs: event.atMs + dayOf.get(root)! * DAY_MS };
  });
}

const shuffled = <T>(items: readonly T[], seed: number): T[] => {
  const uniform = uniforms(seed);
  return items
    .map((item) => ({ item, at: uniform() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
};

describe.each(DATABASES)('the detailed report on the %s database', (_name, open) => {
  const database = useDatabase(open);
  beforeEach(async () => {
    await emptyEvents(database.db, 'experiments');
    await storeExperiment(database.db, experimentOf('test'));
  });
  const report = () => buildDetailedReport(database.db, 'test');

  it('without events says so, in the shape of the contract', async () => {
    const found = await report();
    expect(DetailedReport.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    expect(found.verdicts).toMatchObject([{ arm: 'treatment', decision: 'hold', rule: 'too_few' }]);
    expect(found.trend.series).toEqual([]);
    expect(found.segments).toEqual([]);
  });

  it.each([
    ['by the day, from the rollup', 9],
    ['by shorter steps in the first days, from the rows', 1],
  ])('has the effect so far, which ends where the effect is: %s', async (_what, days) => {
    await storeEvents(database.db, overDays(trafficOf({ seed: 1, units: 260, experiment: 'test' }), days));
    const found = await report();
    expect(found.trend.stepMs === DAY_MS).toBe(days > 3);
    for (const { metric, arm, points } of found.trend.series) {
      const { effect } = found.anytime.find((each) => each.metric === metric && each.arm === arm)!;
      if (points.length === 0) {
        // Nothing that can be said in per cent: the control's value cannot be told from 0.
        expect(effect?.relative ?? null, metric).toBeNull();
        continue;
      }
      const last = points.at(-1)!;
      expect(last.relative, metric).toBeCloseTo(effect!.relative!, 12);
      expect(last.interval[0], metric).toBeCloseTo(effect!.relativeInterval![0], 12);
      expect(last.interval[1], metric).toBeCloseTo(effect!.relativeInterval![1], 12);
      expect(last.units).toBe(found.arms.reduce((sum, { units }) => sum + units, 0));
      expect(points.length).toBeGreaterThan(1);
      const instants = points.map(({ atMs }) => atMs);
      expect(instants).toEqual(instants.toSorted((a, b) => a - b));
    }
  });

  it('has segments whose units add up to all units, with corrected p-values', async () => {
    const markets = ['au', 'gb', 'us'];
    const events = trafficOf({ seed: 1, units: 120, experiment: 'test' }).map((event) =>
      event.type === 'impression' ? { ...event, market: markets[event.unitId.length % 3]! } : event,
    );
    await storeEvents(database.db, events);
    const found = await report();
    const all = found.arms.reduce((sum, { units }) => sum + units, 0);
    const revenue = found.segments.filter(({ metric, dimension }) => metric === 'revenue' && dimension === 'market');
    expect(revenue.map(({ value }) => value)).toEqual(markets);
    expect(revenue.reduce((sum, { units }) => sum + units, 0)).toBe(all);
    for (const { effect, adjustedPValue } of revenue)
      if (effect !== null) expect(adjustedPValue).toBeGreaterThanOrEqual(effect.pValue);
  });

  it('is the same to the byte whatever the order and however often the events come', async () => {
    const events = overDays(trafficOf({ seed: 2, units: 230, experiment: 'test' }), 6);
    await storeEvents(database.db, events);
    const first = JSON.stringify(await report());
    expect(first).toContain('"relative"');
    await emptyEvents(database.db);
    await storeEvents(database.db, shuffled([...events, ...shuffled(events, 1).slice(0, 100)], 11));
    await storeEvents(database.db, shuffled(events, 12));
    expect(JSON.stringify(await report())).toBe(first);
  });

  it('names SQL that gives the numbers again', async () => {
    await storeEvents(database.db, trafficOf({ seed: 3, units: 60, experiment: 'test' }));
    const found = await report();
    const totals = found.sql.metrics.find((text) => text.includes('sum("units")::text'))!;
    const again = await rows<{ arm: string; units: string; revenue: string }>(database.db, sql.raw(totals));
    const sum = (arm: string, name: 'units' | 'revenue') =>
      again.filter((row) => row.arm === arm).reduce((total, row) => total + Number(row[name]), 0);
    const revenue = found.metrics.find(({ metric }) => metric === 'revenue')!;
    for (const { arm, units } of found.arms) {
      expect(sum(arm, 'units')).toBe(units);
      expect(sum(arm, 'revenue')).toBe(revenue.arms.find((each) => each.arm === arm)!.total);
    }
    for (const text of Object.values(found.sql).flat()) {
      expect(text).not.toMatch(/\$\d/);
      await database.db.execute(sql.raw(text));
    }
  });

  it('judges by rules that an experiment brings: primary metric, margins, and the level of all intervals', async () => {
    const rules = { primary: 'clicks', guardrails: [{ metric: 'ctr', margin: 0.9 }], alpha: 0.2 };
    await storeExperiment(database.db, ExperimentDefinition.parse({ ...experimentOf('own'), rules }));
    await storeEvents(database.db, trafficOf({ seed: 1, units: 260, experiment: 'own' }));
    const found = await buildDetailedReport(database.db, 'own');
    expect(found.confidence).toBeCloseTo(0.8, 12);
    expect(found.verdicts).toMatchObject([
      { primary: 'clicks', guardrails: [{ metric: 'ctr', margin: 0.9, state: 'safe' }] },
    ]);
    expect(found.trend.series.map(({ metric }) => metric)).toEqual(['clicks', 'ctr']);
  });

  it('of an interleaving says whose ads are clicked, on the page and in the terminal, and compares no arms', async () => {
    await storeExperiment(database.db, Experiment.parse({ ...experimentOf('mixed'), kind: 'interleaving' }));
    const events = Array.from({ length: 60 }, (_, i): HarnessEvent[] => {
      const page = impressionOf({ id: `${i}`, unit: `u${i}`, arm: INTERLEAVED, experiment: 'mixed', shown: 2 });
      const slots = page.slots.map((slot, at) => ({ ...slot, team: at === i % 2 ? 'treatment' : 'control' }));
      // three of four people click the ad of the treatment
      const position = (i % 4 === 0 ? 1 - (i % 2) : i % 2) + 1;
      return [{ ...page, slots }, clickOf(page, { position })];
    }).flat();
    await storeEvents(database.db, events);
    const found = await buildDetailedReport(database.db, 'mixed');
    expect(DetailedReport.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    expect(found.interleaving).toMatchObject({ units: 60, clicks: { control: 15, treatment: 45 } });
    expect(found.verdicts).toEqual([]);
    const row = /Treatment's share of clicks, less a half.*\+25.00 %/s;
    expect(reportTable(found)).toMatch(row);
    const page = await renderDashboard({
      experiments: [],
      chosen: { report: found, timeline: undefined, trafficSql: [] },
    });
    expect(page.replaceAll('&#39;', "'")).toMatch(row);
    expect(page).toContain('45 clicks on ads of the treatment');
  });
});
