/** A served switchback, from its events to the report, and its estimator against the one that is held against the market's truth. */
import { beforeAll, describe, expect, it } from 'vitest';
import { renderDashboard } from '../../../../gpu-backend/dashboard/page.ts';
import { comparePairs } from '../../../../gpu-backend/experiments/designs/paired-clusters.ts';
import { analyseSwitchback } from '../../../../gpu-backend/experiments/designs/switchback.ts';
import {
  comparePair,
  comparePairAnytime,
  pairWindows,
} from '../../../../gpu-backend/experiments/designs/switchback-pairs.ts';
import { buildDetailedReport } from '../../../../gpu-backend/experiments/detailed-report.ts';
import { reportTable } from '../../../../scripts/report-table.ts';
import { assign } from '../../../../shared/assignment.ts';
import type { HarnessEvent } from '../../../../shared/contract/events.ts';
import { DetailedReport } from '../../../../shared/contract/report-detail.ts';
import { Experiment } from '../../../../shared/experiment.ts';
import { sideAt, windowAt, windowUnit } from '../../../../shared/switchback.ts';
import {
  clickOf,
  experimentOf,
  impressionOf,
  storeEvents,
  storeExperiment,
} from '../../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../../fixtures/random.ts';
import { DATABASES } from '../../../setup/databases.ts';
import { useDatabase } from '../../../setup/hooks.ts';

const HOUR_MS = 3_600_000;
const width = ({ interval: [low, high] }: { interval: [number, number] }) => high - low;

describe('paired windows', () => {
  it('are the paired t over blocks, with blocks left out that the span cuts', () => {
    const design = { key: 'k', windowMs: HOUR_MS, washoutMs: 0 };
    const uniform = uniforms(3);
    const occurrences = Array.from({ length: 4_000 }, () => ({
      atMs: Math.floor(uniform() * 60 * HOUR_MS),
      value: Math.floor(uniform() * 1_000),
    }));
    const span = { fromMs: HOUR_MS / 2, toMs: 59 * HOUR_MS };
    const windows = new Map<string, { unitId: string; arm: string; values: { value: number } }>();
    for (const { atMs, value } of occurrences) {
      const unitId = windowUnit('us', windowAt(design, atMs));
      const window = windows.get(unitId) ?? {
        unitId,
        arm: sideAt(design, atMs) === 0 ? 'c' : 't',
        values: { value: 0 },
      };
      windows.set(unitId, window);
      window.values.value += value;
    }
    const [pair] = pairWindows([...windows.values()], [{ numerator: 'value' }], {
      windowMinutes: 60,
      control: 'c',
      ...span,
    });
    const expected = analyseSwitchback(design, occurrences, { ...span, confidence: 0.95 })!;
    const found = comparePair(pair!, 0.95)!;
    expect(pair!.control!.units).toBe(expected.clusters);
    for (const name of ['absolute', 'pValue'] as const) expect(found[name]).toBeCloseTo(expected[name], 9);
    for (const end of [0, 1]) expect(found.interval[end]!).toBeCloseTo(expected.interval[end]!, 6);
    expect(comparePairAnytime(pair!, 0.95)).toBeUndefined();
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
    const byHand = comparePairs(
      Array.from({ length: 1_000 }, (_, block) => ({
        control: windows[2 * block]!.values.clicks,
        treatment: windows[2 * block + 1]!.values.clicks,
      })),
      0.95,
    )!;
    expect(comparePair(clicks!, 0.95)!.interval[0]).toBeCloseTo(byHand.interval[0], 6);
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
});
