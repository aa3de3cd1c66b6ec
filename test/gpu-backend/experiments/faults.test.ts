/**
 * Faults injected into stored events: each is named by the check that is made for it, and either the estimate stays where it
 * is without the fault, or an alarm says that it is not to be read.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { noteMissing } from '../../../gpu-backend/events/missing.ts';
import { buildDetailedReport } from '../../../gpu-backend/experiments/detailed-report.ts';
import { METRICS } from '../../../gpu-backend/experiments/metrics.ts';
import { readUnits, selfTest } from '../../../gpu-backend/experiments/self-test.ts';
import type { HarnessEvent, ImpressionEvent } from '../../../shared/contract/events.ts';
import type { ExperimentReport } from '../../../shared/contract/experiments.ts';
import { armOf, Experiment, INTERLEAVED } from '../../../shared/experiment.ts';
import { isSum } from '../../../shared/metric.ts';
import {
  clickOf,
  conversionOf,
  experimentOf,
  impressionOf,
  START_MS,
  storeEvents,
  storeExperiment,
} from '../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../fixtures/random.ts';
import { openEmbeddedDatabase } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const DAY_MS = 86_400_000;
const SUMS = METRICS.filter(isSum);
const COLOS = ['AMS', 'FRA', 'SIN'];

/** Clean traffic of two weeks: people who keep to their arm, search a few times a day, click now and then. */
function people(experiment: Experiment, { units, seed }: { units: number; seed: number }): HarnessEvent[] {
  const uniform = uniforms(seed);
  return Array.from({ length: units }, (_, i) => {
    const unit = `${experiment.key}-${i}`;
    const arm = armOf(experiment, unit).key;
    const queries = 2 + Math.floor(6 * uniform() ** 2);
    return Array.from({ length: queries }, (_, query): HarnessEvent[] => {
      const atMs = START_MS + Math.floor(uniform() * 13 * DAY_MS);
      const impression: ImpressionEvent = {
        ...impressionOf({ id: `${unit}-${query}`, unit, arm, experiment: experiment.key, shown: 2, atMs }),
        colo: COLOS[i % COLOS.length]!,
        cache: uniform() < 0.6 ? { status: 'memory', ageMs: 1_000 } : { status: 'miss', ageMs: 0 },
      };
      if (uniform() > 0.35) return [impression];
      const click = clickOf(impression, { chargeMicros: 100_000 + Math.floor(uniform() * 200_000) });
      return uniform() < 0.3 ? [impression, click, conversionOf(click)] : [impression, click];
    }).flat();
  }).flat();
}

const armAt = (event: HarnessEvent) => (event.type === 'impression' ? event.assignments[0]!.arm : undefined);
const severities = ({ checks }: ExperimentReport) =>
  Object.fromEntries(checks.map(({ check, severity }) => [check, severity]));
const clicksEffect = ({ metrics }: ExperimentReport) =>
  metrics.find(({ metric }) => metric === 'clicks')!.arms.at(-1)!.effect!;

describe('injected faults', () => {
  const database = useDatabase(openEmbeddedDatabase);
  let plain: ExperimentReport;
  const split = (key: string) => experimentOf(key);

  /** A report on the same people, whose events a fault has changed. */
  async function reportOn(experiment: Experiment, change: (events: HarnessEvent[]) => HarnessEvent[] = (all) => all) {
    await storeExperiment(database.db, experiment);
    await storeEvents(database.db, change(people(experiment, { units: 300, seed: 1 })));
    return buildDetailedReport(database.db, experiment.key);
  }

  /** The fault is named, and either the truth is in the interval or the report refuses to be read. */
  function named(report: ExperimentReport, check: string, weight: 'warning' | 'alarm') {
    expect(severities(report)[check], JSON.stringify(report.checks, null, 1)).toBe(weight);
    const [low, high] = clicksEffect(report).interval;
    const truth = 0; // both arms are alike
    expect(report.checks.some(({ severity }) => severity === 'alarm') || (low <= truth && truth <= high)).toBe(true);
  }

  beforeAll(async () => {
    plain = await reportOn(split('plain'));
  });

  it('no fault: no alarm and no warning, in whatever order events come', async () => {
    expect(Object.entries(severities(plain)).filter(([, severity]) => severity !== 'ok')).toEqual([]);
    const again = await reportOn(split('order'), (events) => events.toReversed());
    expect(again.checks.map(({ severity }) => severity)).toEqual(plain.checks.map(({ severity }) => severity));
  });

  it('events of one arm lost', async () => {
    const lost: ImpressionEvent[] = [];
    const experiment = split('loss');
    const found = await reportOn(experiment, (events) =>
      events.filter((event, i) => {
        if (event.type !== 'impression' || armAt(event) === 'control' || i % 25 > 0) return true;
        lost.push(event);
        return false;
      }),
    );
    expect(severities(found).event_loss).toBe('ok');
    const told = lost.map(({ id, atMs }) => ({ impressionId: id, experiment: 'loss', arm: 'treatment', atMs }));
    await noteMissing(database.db, told);
    await noteMissing(database.db, told);
    const known = await buildDetailedReport(database.db, 'loss');
    named(known, 'event_loss', 'alarm');
    expect(known.checks.find(({ check }) => check === 'event_loss')!.received).toContain(`(${lost.length} of `);
    // What arrives after all is no longer missing.
    await storeEvents(database.db, lost);
    expect(severities(await buildDetailedReport(database.db, 'loss')).event_loss).toBe('ok');
  });

  it('units of one arm lost at one place', async () => {
    const found = await reportOn(split('colo'), (events) => {
      const gone = new Set(
        events.flatMap((event) =>
          event.type === 'impression' && event.colo === 'SIN' && armAt(event) === 'treatment' ? event.unitId : [],
        ),
      );
      return events.filter((event) => event.type !== 'impression' || !gone.has(event.unitId));
    });
    named(found, 'sample_ratio_segments', 'alarm');
    expect(found.checks.find(({ check }) => check === 'sample_ratio_segments')!.action).toContain('edge location SIN');
  });

  it('bots that nobody marked', async () => {
    const found = await reportOn(split('bots'), (events) => [
      ...events,
      ...Array.from({ length: 500 }, (_, i) => {
        const bot = impressionOf({
          id: `bot-${i}`,
          unit: `bot-${i % 2}`,
          arm: 'treatment',
          experiment: 'bots',
          atMs: START_MS + i,
        });
        return i % 4 === 0 ? [bot, clickOf(bot)] : [bot];
      }).flat(),
    ]);
    named(found, 'bots', 'alarm');
  });

  it('units that are shown both arms', async () => {
    const found = await reportOn(split('both'), (events) =>
      events.map((event, i) =>
        event.type === 'impression' && i % 60 === 0
          ? {
              ...event,
              assignments: event.assignments.map((each) => ({
                ...each,
                arm: each.arm === 'control' ? 'treatment' : 'control',
              })),
            }
          : event,
      ),
    );
    named(found, 'mixed_units', 'alarm');
    expect(found.excluded.mixedUnits).toBeGreaterThan(5);
    expect(found.arms.reduce((sum, { units }) => sum + units, 0)).toBe(300 - found.excluded.mixedUnits);
  });

  it('events logged twice under two ids', async () => {
    const found = await reportOn(split('twice'), (events) =>
      events.flatMap((event, i) =>
        event.type === 'impression' && armAt(event) === 'treatment' && i % 10 === 0
          ? [event, { ...event, id: `${event.id}-again` }]
          : [event],
      ),
    );
    named(found, 'duplicates', 'alarm');
  });

  it('conversions long after their window', async () => {
    const found = await reportOn(split('late'), (events) =>
      events.map((event, i) =>
        event.type === 'conversion' && i % 2 === 0 ? { ...event, atMs: event.atMs + 9 * DAY_MS } : event,
      ),
    );
    named(found, 'late_events', 'warning');
  });

  it('a clock that is late', async () => {
    const found = await reportOn(split('skew'), (events) =>
      events.map((event) =>
        event.type === 'click' && event.id.length % 2 === 0 ? { ...event, atMs: event.atMs - 60_000 } : event,
      ),
    );
    named(found, 'clock', 'warning');
    const clicks = people(split('skew'), { units: 300, seed: 1 }).filter(({ type }) => type === 'click');
    const { arms } = found.metrics.find(({ metric }) => metric === 'clicks')!;
    expect(arms[0]!.total + arms[1]!.total).toBe(clicks.length);
  });

  it('a cache that favours the larger arm, in a 90/10 test of nothing', async () => {
    const uneven = experimentOf('uneven', { control: 9, treatment: 1 });
    const uniform = uniforms(4);
    const found = await reportOn(uneven, (events) =>
      events.map((event) =>
        event.type === 'impression' && armAt(event) === 'treatment' && uniform() < 0.7
          ? { ...event, cache: { status: 'miss', ageMs: 0 } }
          : event,
      ),
    );
    named(found, 'cache_bias', 'warning');
    expect(found.checks.find(({ check }) => check === 'cache_bias')!.action).toContain('larger arm');
  });

  it('a holdout that another experiment reaches', async () => {
    const [control, treatment] = split('held').arms;
    const held = Experiment.parse({ ...split('held'), arms: [{ ...control, holdout: 'all' }, treatment] });
    await storeExperiment(database.db, Experiment.parse({ ...split('other'), layer: 'ranking' }));
    const other = { experiment: 'other', layer: 'ranking', arm: 'treatment' };
    const found = await reportOn(held, (events) =>
      events.map((event) =>
        event.type === 'impression' && (armAt(event) === 'treatment' || event.id.endsWith('-0'))
          ? { ...event, assignments: [...event.assignments, other] }
          : event,
      ),
    );
    named(found, 'holdout', 'alarm');
  });

  it('an interleaving is no mismatch: its units see both arms', async () => {
    const mixed = Experiment.parse({ ...split('drafted'), kind: 'interleaving' });
    const found = await reportOn(mixed, (events) =>
      events.map((event) =>
        event.type === 'impression'
          ? {
              ...event,
              assignments: event.assignments.map((each) => ({ ...each, arm: INTERLEAVED })),
              slots: event.slots.map((slot, i) => ({
                ...slot,
                team: (i + event.atMs) % 2 === 0 ? 'control' : 'treatment',
              })),
            }
          : event,
      ),
    );
    expect(found.arms.map(({ arm }) => arm)).toEqual([INTERLEAVED]);
    expect(found.checks.some(({ severity }) => severity === 'alarm')).toBe(false);
    const { units, clicks, teamDraft } = found.interleaving!;
    expect(units).toBe(300);
    expect(clicks.control + clicks.treatment).toBe(
      found.metrics.find(({ metric }) => metric === 'clicks')!.arms[0]!.total,
    );
    expect(teamDraft!.interval[0]).toBeLessThan(0);
    expect(teamDraft!.interval[1]).toBeGreaterThan(0);
    expect(plain.interleaving).toBeUndefined();
  });

  it('tests itself: on stored units whose arms mean nothing, a find in about twenty', async () => {
    const units = await readUnits(database.db, 'plain', SUMS);
    expect(units).toHaveLength(300);
    const first = selfTest(units, SUMS, { deals: 200 });
    expect(first.metrics.filter(({ ok }) => !ok)).toEqual([]);
    expect(first.metrics.find(({ metric }) => metric === 'clicks')).toMatchObject({ deals: 200, ok: true });
    expect(selfTest(await readUnits(database.db, 'plain', SUMS), SUMS, { deals: 200 })).toEqual(first);
    // One whale in a sample makes the t-test blind, and the self-test says so.
    const whale = units.map((unit, i) => ({
      ...unit,
      values: Object.fromEntries(Object.keys(unit.values).map((name) => [name, i === 0 ? 1_000_000 : i % 2])),
    }));
    const blind = selfTest(whale, SUMS, { deals: 200 });
    expect(blind.metrics.find(({ metric }) => metric === 'clicks')).toMatchObject({ ok: false });
  });
});
