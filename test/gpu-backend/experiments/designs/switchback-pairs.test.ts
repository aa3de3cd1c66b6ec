/** A served switchback, from its events to the report, and its estimator against scipy's; interference.test.ts holds it to a market's truth. */
import { beforeAll, describe, expect, it } from 'vitest';
import { renderDashboard } from '../../../../gpu-backend/dashboard/page.ts';
import {
  comparePair,
  comparePairAnytime,
  pairWindows,
  type WindowSums,
} from '../../../../gpu-backend/experiments/designs/switchback-pairs.ts';
import { buildDetailedReport } from '../../../../gpu-backend/experiments/detailed-report.ts';
import { reportTable } from '../../../../scripts/report-table.ts';
import { assign } from '../../../../shared/assignment.ts';
import type { HarnessEvent, ImpressionEvent } from '../../../../shared/contract/events.ts';
import { DetailedReport } from '../../../../shared/contract/report-detail.ts';
import { Experiment } from '../../../../shared/experiment.ts';
import { windowUnit } from '../../../../shared/switchback.ts';
import {
  clickOf,
  emptyEvents,
  experimentOf,
  impressionOf,
  storeEvents,
  storeExperiment,
} from '../../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../../fixtures/random.ts';
import golden from '../../../golden/experiment-checks.json' with { type: 'json' };
import { DATABASES } from '../../../setup/databases.ts';
import { useDatabase } from '../../../setup/hooks.ts';
import { expectClose } from '../golden.ts';

const HOUR_MS = 3_600_000;
const width = ({ interval: [low, high] }: { interval: [number, number] }) => high - low;

describe('paired windows', () => {
  /** Blocks of two windows of an hour, from the first block of 1970 on; every other one begins with the treatment. */
  const windowsOf = (control: readonly number[], treatment: readonly number[]) =>
    control.flatMap((value, block) =>
      [
        { arm: 'c', value },
        { arm: 't', value: treatment[block]! },
      ].map(({ arm, value }, at) => ({
        unitId: windowUnit('us', 2 * block + (block % 2 === 0 ? at : 1 - at)),
        arm,
        values: { value },
      })),
    );
  const pairOver = (windows: readonly WindowSums[], span: { fromMs: number; toMs: number }) =>
    pairWindows(windows, [{ numerator: 'value' }], { windowMinutes: 60, control: 'c', ...span })[0]!;

  it.each(golden.paired)('are the paired t over blocks, as scipy has it: $absolute', (vector) => {
    const { control, treatment, absolute, interval, pValue } = vector;
    const pair = pairOver(windowsOf(control, treatment), { fromMs: 0, toMs: 2 * control.length * HOUR_MS });
    const found = comparePair(pair, 0.95)!;
    expectClose(found.absolute, absolute);
    for (const [i, end] of interval.entries()) expectClose(found.interval[i], end);
    expectClose(found.pValue, pValue);
    expect(pair.control!.units).toBe(control.length);
    expect(comparePairAnytime(pair, 0.95)).toBeUndefined();
  });

  it('are of whole blocks: those that the span cuts are left out', () => {
    const { control, treatment } = golden.paired[0]!;
    const blocks = control.length;
    const cut = { fromMs: 2 * HOUR_MS + 1, toMs: 2 * (blocks - 1) * HOUR_MS - 1 };
    const inner = windowsOf(control, treatment).filter(({ unitId }) => {
      const block = Math.floor(Number(unitId.split('@')[1]) / 2);
      return block >= 2 && block < blocks - 2;
    });
    const whole = { fromMs: 0, toMs: 2 * blocks * HOUR_MS };
    expect(pairOver(windowsOf(control, treatment), cut)).toEqual(pairOver(inner, whole));
    expect(pairOver(inner, whole).control!.units).toBe(blocks - 4);
  });

  it('are of one window of each arm: blocks that a new version dealt anew are left out, whatever was shown in them', () => {
    const { control, treatment } = golden.paired[0]!;
    const whole = { fromMs: 0, toMs: 2 * control.length * HOUR_MS };
    const windows = windowsOf(control, treatment);
    const inBlock = (block: number) => (window: { unitId: string }) =>
      [2 * block, 2 * block + 1].includes(Number(window.unitId.split('@')[1]));
    const others = windows.filter((window) => !inBlock(1)(window) && !inBlock(3)(window));
    const dealtAnew = windows.map((window) => {
      if (inBlock(1)(window)) return { ...window, arm: 'c' };
      return inBlock(3)(window) && window.arm === 't' ? { ...window, arm: undefined } : window;
    });
    expect(pairOver(dealtAnew, whole)).toEqual(pairOver(others, whole));
    expect(pairOver(others, whole).control!.units).toBe(control.length - 2);
  });

  it('lose nothing to what a block has in common, also in ratios, at any look', () => {
    const uniform = uniforms(8);
    const windows = Array.from({ length: 2_000 }, (_, window) => {
      const busy = 1_000 * (1 + (Math.floor(window / 2) % 7));
      const base = 0.2 + 0.05 * (Math.floor(window / 2) % 5);
      const [queries, treated] = [busy + Math.floor(20 * uniform()), window % 2 === 1];
      return {
        unitId: windowUnit('us', window),
        arm: treated ? 't' : 'c',
        values: { queries, clicks: Math.floor(queries * base * (treated ? 1.01 : 1) + 10 * uniform()) },
      };
    });
    const options = { windowMinutes: 60, control: 'c', fromMs: 0, toMs: 2_000 * HOUR_MS };
    const [clicks, rate] = pairWindows(
      windows,
      [{ numerator: 'clicks' }, { numerator: 'clicks', denominator: 'queries' }],
      options,
    );
    for (const pair of [clicks!, rate!]) {
      const together = comparePair(pair, 0.95)!;
      const apart = comparePair({ ...pair, covariance: 0 }, 0.95)!;
      expect(width(together)).toBeLessThan(width(apart) / 4);
      expect(together.relative).toBeCloseTo(0.01, 3);
      const [low, high] = together.relativeInterval!;
      expect(low).toBeLessThan(0.01);
      expect(high).toBeGreaterThan(0.01);
      expect(low).toBeGreaterThan(0);
      expect(width(comparePairAnytime(pair, 0.95)!)).toBeGreaterThan(width(together));
    }
  });

  it('say nothing where no block differs from another', () => {
    const windows = Array.from({ length: 8 }, (_, window) => ({
      unitId: windowUnit('us', window),
      arm: window % 2 === 0 ? 'c' : 't',
      values: { clicks: 5 * (1 + Math.floor(window / 2)) },
    }));
    const [pair] = pairWindows(windows, [{ numerator: 'clicks' }], {
      windowMinutes: 60,
      control: 'c',
      fromMs: 0,
      toMs: 8 * HOUR_MS,
    });
    expect(comparePair(pair!, 0.95)).toBeUndefined();
    expect(comparePair(pairOver(windowsOf([1], [2]), { fromMs: 0, toMs: 2 * HOUR_MS }), 0.95)).toBeUndefined();
  });
});

const EXPERIMENT = Experiment.parse({
  ...experimentOf('switched'),
  kind: 'switchback',
  switchback: { windowMinutes: 60, washoutMinutes: 15 },
});

/** Queries of many people over so many hours of two markets, each as `assign` has it; treatment is clicked more. */
function traffic(hours: number): HarnessEvent[] {
  const uniform = uniforms(21);
  const events: HarnessEvent[] = [];
  for (let i = 0; i < hours * 24; i++) {
    const atMs = Date.UTC(2026, 2, 30) + Math.floor((i / 24) * HOUR_MS);
    const market = i % 3 === 0 ? 'gb' : 'us';
    const user = `person-${Math.floor(uniform() * 50)}`;
    const [assigned] = assign({ units: { user }, market, locale: 'en', device: 'desktop', atMs }, [EXPERIMENT]);
    const { arm, unitId, washout } = assigned!;
    const impression = {
      ...impressionOf({ id: `${i}`, unit: user, arm: arm.key, experiment: 'switched', atMs }),
      market,
      assignments: [{ experiment: 'switched', layer: 'retrieval', arm: arm.key, unitId, washout: washout! }],
    };
    events.push(impression);
    // what the washout holds would turn the effect round
    if (uniform() < (washout ? (arm.key === 'control' ? 1 : 0) : arm.key === 'control' ? 0.3 : 0.5))
      events.push(clickOf(impression));
  }
  return events;
}

describe.each(DATABASES)('a switchback on the %s database', (_name, open) => {
  const database = useDatabase(open);
  beforeAll(() => storeExperiment(database.db, EXPERIMENT));

  it('is reported by blocks, without the washout and without alarms about people', async () => {
    const empty = await buildDetailedReport(database.db, 'switched');
    expect(empty.metrics[0]!.arms[1]!.effect).toBeNull();
    await storeEvents(database.db, traffic(40));
    const found = await buildDetailedReport(database.db, 'switched');
    expect(DetailedReport.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    // two markets, forty windows; of 24 queries an hour 18 come after the washout
    expect(found.arms).toEqual([
      { arm: 'control', units: 40, queries: 360 },
      { arm: 'treatment', units: 40, queries: 360 },
    ]);
    const rate = found.metrics.find(({ metric }) => metric === 'ctr')!.arms[1]!;
    expect(rate.effect).toMatchObject({ significant: true });
    expect(rate.effect!.interval[0]).toBeGreaterThan(0.05);
    expect(rate.effect!.interval[1]).toBeLessThan(0.35);
    expect(rate).not.toHaveProperty('adjusted');
    expect(found.verdicts).toMatchObject([{ decision: 'hold', rule: 'too_few' }]);
    expect([found.segments, found.trend.series]).toEqual([[], []]);
    expect(found.checks.filter(({ severity }) => severity === 'alarm')).toEqual([]);
    expect(reportTable(found)).toContain('switched (running)');
    const view = { experiments: [], chosen: { report: found, timeline: undefined, trafficSql: [] } };
    expect(await renderDashboard(view)).toContain('treatment against control');
  });

  it('leaves out the block of a window in which both arms were shown, in its market', async () => {
    const effectOf = async (events: readonly HarnessEvent[]) => {
      await emptyEvents(database.db);
      await storeEvents(database.db, events);
      const { metrics } = await buildDetailedReport(database.db, 'switched');
      return metrics.find(({ metric }) => metric === 'clicks')!.arms[1]!.effect;
    };
    const events = traffic(40);
    const isOf = (market: string, hours: readonly number[]) => (event: HarnessEvent) =>
      event.type === 'impression' &&
      event.market === market &&
      hours.includes(Math.floor((event.atMs - Date.UTC(2026, 2, 30)) / HOUR_MS));
    const [one] = events.filter(isOf('us', [6])).slice(-1) as ImpressionEvent[];
    const [assignment] = one!.assignments;
    const arm = assignment!.arm === 'control' ? 'treatment' : 'control';
    const other = { ...one!, id: `${one!.id}-dealt-anew`, assignments: [{ ...assignment!, arm }] };
    const found = await effectOf([...events, other]);
    expect(found).not.toBeNull();
    expect(found).toEqual(await effectOf(events.filter((event) => !isOf('us', [6, 7])(event))));
  });
});
