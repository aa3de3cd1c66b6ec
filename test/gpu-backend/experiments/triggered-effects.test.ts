/** From the counterfactual log in the events to the report's triggered and diluted effects. */
import { beforeEach, describe, expect, it } from 'vitest';
import { renderDashboard } from '../../../gpu-backend/dashboard/page.ts';
import { buildDetailedReport } from '../../../gpu-backend/experiments/detailed-report.ts';
import { reportTable } from '../../../scripts/report-table.ts';
import type { HarnessEvent, ImpressionEvent } from '../../../shared/contract/events.ts';
import { DetailedReport } from '../../../shared/contract/report-detail.ts';
import {
  clickOf,
  emptyEvents,
  experimentOf,
  impressionOf,
  storeEvents,
  storeExperiment,
} from '../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../fixtures/random.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const EXPERIMENT = { ...experimentOf('test'), counterfactualShare: 1 };

/** A query with the counterfactual log's word on it. */
const logged = (impression: ImpressionEvent, triggered: boolean | undefined): ImpressionEvent =>
  triggered === undefined
    ? impression
    : { ...impression, assignments: impression.assignments.map((each) => ({ ...each, triggered })) };

/** Units of two to four queries; a tenth are triggered, and only they click more often in the treatment. */
function traffic({ seed, units, lift }: { seed: number; units: number; lift: number }): HarnessEvent[] {
  const uniform = uniforms(seed);
  return Array.from({ length: units }, (_, unit) => {
    const arm = uniform() < 0.5 ? 'control' : 'treatment';
    const affected = uniform() < 0.1;
    const queries = 2 + Math.floor(3 * uniform());
    return Array.from({ length: queries }, (_, query): HarnessEvent[] => {
      const impression = logged(
        impressionOf({ id: `${seed}-${unit}-${query}`, unit: `u${unit}`, arm }),
        affected && query === 0,
      );
      const clicks = uniform() < 0.3 + (affected && arm === 'treatment' ? lift : 0);
      return clicks ? [impression, clickOf(impression)] : [impression];
    }).flat();
  }).flat();
}

describe.each(DATABASES)('triggered effects on the %s database', (_name, open) => {
  const database = useDatabase(open);
  beforeEach(async () => {
    await emptyEvents(database.db, 'experiments');
    await storeExperiment(database.db, EXPERIMENT);
  });
  const report = () => buildDetailedReport(database.db, 'test');

  it('count a unit once its log is complete, and as triggered by any of its queries; bots count nowhere', async () => {
    const query = (id: string, unit: string, triggered: boolean | undefined, bot = false) =>
      logged(impressionOf({ id, unit, arm: unit[0] === 'c' ? 'control' : 'treatment', bot }), triggered);
    await storeEvents(database.db, [
      query('1', 'c-once', false),
      query('2', 'c-once', true),
      query('3', 'c-never', false),
      query('4', 'c-gap', false),
      query('5', 'c-gap', undefined),
      query('6', 't-once', true),
      query('7', 't-unlogged', undefined),
      query('8', 't-bot', true, true),
      query('9', 't-never', false),
      query('10', 't-never', true, true),
      clickOf({ id: 'impression-1', atMs: 1_800_000_000_000 }),
    ]);
    expect((await report()).triggered).toMatchObject({
      share: 0.5,
      arms: [
        { arm: 'control', triggered: 1, rest: 1 },
        { arm: 'treatment', triggered: 1, rest: 1 },
      ],
    });
  });

  it('find the effect on everybody with less noise than all units have, on page and terminal too', async () => {
    await storeEvents(database.db, traffic({ seed: 4, units: 700, lift: 0.4 }));
    const found = await report();
    expect(DetailedReport.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    const effect = found.triggered!.effects.find(({ metric }) => metric === 'clicks')!;
    const all = found.metrics.find(({ metric }) => metric === 'clicks')!.arms[1]!.effect!;
    // three queries a unit, 40 points more clicks a query, of a tenth of the units
    const truth = 3 * 0.4 * 0.1;
    const [low, high] = effect.diluted!.interval;
    expect(low).toBeLessThan(truth);
    expect(high).toBeGreaterThan(truth);
    expect(low).toBeGreaterThan(0);
    expect(high - low).toBeLessThan(0.6 * (all.interval[1] - all.interval[0]));
    expect(effect.triggered!.absolute).toBeCloseTo(effect.diluted!.absolute / found.triggered!.share, 9);
    expect(found.checks.find(({ check }) => check === 'sample_ratio_triggered')).toMatchObject({ severity: 'ok' });
    const heading = /units \(\d+\.\d %\) had a query that another arm would have answered otherwise/;
    expect(reportTable(found)).toMatch(heading);
    const view = { experiments: [], chosen: { report: found, timeline: undefined, trafficSql: [] } };
    expect(await renderDashboard(view)).toMatch(heading);
  });

  it('are warned of, and no verdict is silenced, where one arm triggers its units more often', async () => {
    const events = traffic({ seed: 5, units: 400, lift: 0 }).map((event) =>
      event.type === 'impression' && event.assignments[0]!.arm === 'treatment' && /[1379]$/.test(event.unitId)
        ? logged(event, true)
        : event,
    );
    await storeEvents(database.db, events);
    const { checks } = await report();
    expect(checks.find(({ check }) => check === 'sample_ratio_triggered')).toMatchObject({
      severity: 'warning',
      action: expect.stringContaining('Do not read the triggered'),
    });
  });

  it('are absent where nothing was logged', async () => {
    await storeEvents(database.db, [impressionOf({ id: '1', unit: 'c', arm: 'control' })]);
    const found = await report();
    expect(found).not.toHaveProperty('triggered');
    expect(found.checks.map(({ check }) => check)).not.toContain('sample_ratio_triggered');
  });

  it('have consent beside them as a segment, and a check that says where the arms differ in it', async () => {
    const events = Array.from({ length: 240 }, (_, unit) => ({
      ...impressionOf({ id: `${unit}`, unit: `u${unit}`, arm: unit % 2 === 0 ? 'control' : 'treatment' }),
      consent: unit % 3 !== 0,
    }));
    await storeEvents(database.db, events);
    const segment = (found: DetailedReport) =>
      found.segments.filter(({ metric, dimension }) => metric === 'revenue' && dimension === 'consent');
    expect(segment(await report()).map(({ value, units }) => [value, units])).toEqual([
      ['no', 80],
      ['yes', 160],
    ]);
    // all have one market, and none a device
    expect(new Set((await report()).segments.map(({ dimension }) => dimension))).toEqual(new Set(['consent']));
    const check = (found: DetailedReport) => found.checks.find((each) => each.check === 'sample_ratio_segments');
    expect(check(await report())).toMatchObject({ severity: 'ok' });
    await emptyEvents(database.db);
    await storeEvents(
      database.db,
      events.map((event, unit) => ({ ...event, consent: unit % 2 === 0 || unit % 4 === 1 })),
    );
    expect(check(await report())).toMatchObject({ severity: 'alarm', received: expect.stringContaining('consent no') });
  });
});
