/** Each check of the list on evidence that shows the fault, and on evidence that does not. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHECKS } from '../../../../gpu-backend/experiments/checks/checks.ts';
import { CONVERSION_MS, watermark } from '../../../../gpu-backend/experiments/checks/late-events.ts';
import { localDays } from '../../../../gpu-backend/experiments/checks/local-days.ts';
import { Experiment } from '../../../../shared/experiment.ts';
import { ExperimentDefinition } from '../../../../shared/experiment-definition.ts';
import { experimentOf, START_MS } from '../../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../../fixtures/random.ts';
import golden from '../../../golden/experiment-checks.json' with { type: 'json' };
import { evidenceOf, find, sampled } from './evidence-of.ts';

const DAY_MS = 86_400_000;
const test = experimentOf('test');

describe('list', () => {
  it('has keys of its own, and every check is silent or harmless without evidence', () => {
    expect(new Set(CHECKS.map(({ key }) => key)).size).toBe(CHECKS.length);
    for (const { key } of CHECKS)
      expect(find(key, evidenceOf(test, {}))?.severity ?? 'ok', key).toMatch(/^(ok|unknown)$/);
  });
});

describe('sample ratio by segment', () => {
  const segments = (lost: string) =>
    (['ams', 'fra', 'sin', 'syd'] as const).map((value) => ({
      dimension: 'colo' as const,
      value,
      units: { control: 10_000, treatment: value === lost ? 9_400 : 10_050 },
    }));

  it('names the place of a fault that the whole does not show', () => {
    const found = find('sample_ratio_segments', evidenceOf(test, {}, { segments: segments('sin') }))!;
    expect(found).toMatchObject({ severity: 'alarm' });
    expect(found.received).toContain('1 off: edge location sin: control 10000, treatment 9400');
    expect(found.action).toContain('edge location sin.');
    expect(find('sample_ratio', evidenceOf(test, { control: 40_000, treatment: 39_550 }))!.severity).toBe('ok');
    expect(find('sample_ratio_segments', evidenceOf(test, {}, { segments: segments('') }))!.severity).toBe('ok');
  });

  it('tests the cache status where plans are alike only: otherwise it is an effect', () => {
    const hits = [{ dimension: 'cache' as const, value: 'miss', units: { control: 1_000, treatment: 3_000 } }];
    expect(find('sample_ratio_segments', evidenceOf(test, {}, { segments: hits }))!.severity).toBe('alarm');
    const [control, treatment] = test.arms;
    const changed = Experiment.parse({ ...test, arms: [control, { ...treatment, parameters: { k: 7 } }] });
    expect(find('sample_ratio_segments', evidenceOf(changed, {}, { segments: hits }))).toBeUndefined();
  });

  it('alarms by chance about once in a thousand reports, however many segments', () => {
    const uniform = uniforms(8);
    let alarms = 0;
    for (let trial = 0; trial < 400; trial++) {
      const random = Array.from({ length: 40 }, (_, i) => {
        let control = 0;
        for (let unit = 0; unit < 60; unit++) if (uniform() < 0.5) control++;
        return { dimension: 'colo' as const, value: `c${i}`, units: { control, treatment: 60 - control } };
      });
      if (find('sample_ratio_segments', evidenceOf(test, {}, { segments: random }))!.severity === 'alarm') alarms++;
    }
    expect(alarms).toBeLessThanOrEqual(3);
  });
});

describe('event loss', () => {
  const loss = (control: number, treatment: number) => [
    { arm: 'control', stored: 100_000 - control, missing: control },
    { arm: 'treatment', stored: 100_000 - treatment, missing: treatment },
  ];
  it.each([
    ['nothing', 0, 0, 'ok'],
    ['a little everywhere', 50, 60, 'ok'],
    ['half a percent everywhere', 500, 510, 'warning'],
    ['2 % everywhere', 2_000, 2_010, 'alarm'],
    ['half a percent in one arm', 10, 500, 'alarm'],
  ])('%s', (_what, control, treatment, severity) => {
    expect(find('event_loss', evidenceOf(test, {}, { loss: loss(control, treatment) }))!.severity).toBe(severity);
  });

  it('says how much was lost in each arm', () => {
    const found = find('event_loss', evidenceOf(test, {}, { loss: loss(0, 2_000) }))!;
    expect(found.received).toContain('control 0.00 % (0 of 100000), treatment 2.00 % (2000 of 100000)');
  });
});

describe('sample ratio of triggered units', () => {
  const ratio = (control: [number, number], treatment: [number, number]) =>
    find(
      'sample_ratio_triggered',
      evidenceOf(
        experimentOf('test', { control: 3, treatment: 1 }),
        {},
        {
          compared: [
            { arm: 'control', triggered: control[0], rest: control[1] },
            { arm: 'treatment', triggered: treatment[0], rest: treatment[1] },
          ],
        },
      ),
    )?.severity;
  it('goes by the intended shares, and looks at those who were never triggered too', () => {
    expect(ratio([3_000, 9_000], [1_000, 3_000])).toBe('ok');
    expect(ratio([3_000, 9_000], [1_200, 3_000])).toBe('warning');
    expect(ratio([3_000, 9_000], [1_000, 3_400])).toBe('warning');
    expect(ratio([0, 9_000], [0, 3_000])).toBe('ok');
  });
});

describe('bots and units in several arms', () => {
  const traffic = (arm: string, more: object) => ({
    arm,
    botUnits: 50,
    heavyUnits: 0,
    heavyQueries: 0,
    queries: 10_000,
    ...more,
  });
  const bots = (control: object, treatment: object) =>
    find('bots', evidenceOf(test, {}, { automation: [traffic('control', control), traffic('treatment', treatment)] }))!;

  it('finds marked bots that prefer an arm, and unmarked ones by how much they search', () => {
    expect(bots({}, {}).severity).toBe('ok');
    expect(bots({}, { botUnits: 500 })).toMatchObject({
      severity: 'alarm',
      action: expect.stringContaining('attracts'),
    });
    expect(bots({ heavyUnits: 1, heavyQueries: 210 }, { heavyUnits: 1, heavyQueries: 220 }).severity).toBe('warning');
    expect(bots({}, { heavyUnits: 4, heavyQueries: 1_400 })).toMatchObject({
      severity: 'alarm',
      received: expect.stringContaining('treatment 4 (14.0 % of its queries)'),
    });
  });

  it('asks how much a unit searches only where units are people', () => {
    const heavy = [traffic('control', {}), traffic('treatment', { heavyUnits: 40, heavyQueries: 9_000 })];
    const severity = (more: object) =>
      find('bots', evidenceOf(Experiment.parse({ ...test, ...more }), {}, { automation: heavy }))!.severity;
    const switchback = { kind: 'switchback', switchback: { windowMinutes: 60, washoutMinutes: 0 } };
    expect([{}, { diversion: 'query' }, switchback].map(severity)).toEqual(['alarm', 'ok', 'ok']);
  });

  it('weighs units in several arms by their share', () => {
    const severity = (mixedUnits: number) =>
      find('mixed_units', evidenceOf(test, { control: 5_000, treatment: 5_000 }, { mixedUnits }))!.severity;
    expect([0, 5, 50, 500].map(severity)).toEqual(['ok', 'ok', 'warning', 'alarm']);
  });
});

describe('duplicates and clocks', () => {
  const sample = (more: object) => [
    sampled('control', { queries: 5_000, clicks: 500, conversions: 50 }),
    sampled('treatment', { queries: 5_000, clicks: 500, conversions: 50, ...more }),
  ];
  it('finds rows that say the same twice, in whichever arm', () => {
    const severity = (n: number) =>
      find('duplicates', evidenceOf(test, {}, { sample: sample({ duplicates: n }) }))!.severity;
    expect([0, 4, 10, 100].map(severity)).toEqual(['ok', 'ok', 'warning', 'alarm']);
  });

  it('finds events before their cause', () => {
    const of = (more: object) => find('clock', evidenceOf(test, {}, { sample: sample(more) }))!;
    expect(of({}).severity).toBe('ok');
    expect(of({ earlyClicks: 20 })).toMatchObject({
      severity: 'warning',
      received: expect.stringContaining('treatment 20 of 500 clicks'),
    });
    expect(of({ earlyConversions: 5 }).severity).toBe('warning');
  });
});

describe('watermark', () => {
  const late = (more: object) =>
    find(
      'late_events',
      evidenceOf(
        test,
        {},
        {
          fromMs: START_MS,
          toMs: START_MS + 20 * DAY_MS,
          sample: [
            sampled('control', { clicks: 500, conversions: 100 }),
            sampled('treatment', { clicks: 500, ...more }),
          ],
        },
      ),
    )!;

  it('says what is final, from the events alone', () => {
    expect(late({}).received).toContain(
      'queries and clicks final up to 2026-04-17T23:30 UTC, conversions up to 2026-04-10T23:30 UTC',
    );
    const { queriesMs, conversionsMs } = watermark(START_MS);
    expect(queriesMs - conversionsMs).toBe(CONVERSION_MS);
    const young = evidenceOf(test, {}, { fromMs: START_MS, toMs: START_MS + DAY_MS });
    expect(find('late_events', young)!.received).toContain('conversions not yet');
  });

  it('warns of conversions after their window, and of an arm that is younger', () => {
    expect(late({}).severity).toBe('ok');
    expect(late({ conversions: 100, lateConversions: 10 })).toMatchObject({
      severity: 'warning',
      action: expect.stringContaining('still grow'),
    });
    expect(late({ openClicks: 400 })).toMatchObject({
      severity: 'warning',
      action: expect.stringContaining('younger'),
    });
  });
});

describe('days', () => {
  it.each(golden.days)('of $zone', ({ zone, days }) => {
    const last = days.at(-1)!;
    const found = localDays(days[0]!.fromMs, last.fromMs + last.hours * 3_600_000 - 1, zone);
    expect(found.map(({ day, fromMs, hours }) => ({ day, fromMs, hours }))).toEqual(days);
  });

  it('follow each other without gap, and hold every instant of the span', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu');
    fc.assert(
      fc.property(fc.nat(400 * DAY_MS), fc.nat(10 * DAY_MS), zones, (offset, length, zone) => {
        const fromMs = START_MS + offset;
        const days = localDays(fromMs, fromMs + length, zone);
        expect(days[0]!.fromMs).toBeLessThanOrEqual(fromMs);
        expect(days.at(-1)!.toMs).toBeGreaterThan(fromMs + length);
        for (const [i, { fromMs: from, toMs }] of days.entries()) {
          expect(toMs).toBeGreaterThan(from);
          if (i > 0) expect(from).toBe(days[i - 1]!.toMs);
        }
      }),
      { seed: 3, numRuns: 25 },
    );
  });

  it('asks for whole weeks and names days of 23 and 25 hours', () => {
    const berlin = Experiment.parse({ ...test, timeZone: 'Europe/Berlin' });
    const of = (length: number) =>
      find('calendar', evidenceOf(berlin, {}, { fromMs: START_MS - 2 * DAY_MS, toMs: START_MS + length * DAY_MS }))!;
    expect(of(2).severity).toBe('unknown');
    expect(of(2).received).toBe('3 whole days of Europe/Berlin; clocks change: 2026-03-29 has 23 hours');
    expect(of(9)).toMatchObject({ severity: 'ok', action: expect.stringContaining('3 weekdays have more weight') });
    expect(ExperimentDefinition.safeParse({ ...test, timeZone: 'Mars/Olympus' }).error?.message).toContain('IANA');
  });
});

describe('cache', () => {
  /** Units of an arm whose queries hit with a chance of their own. */
  const units = (arm: string, { count, rate, seed }: { count: number; rate: number; seed: number }) => {
    const uniform = uniforms(seed);
    return Array.from({ length: count }, () => {
      const queries = 1 + Math.floor(9 * uniform());
      let hits = 0;
      for (let query = 0; query < queries; query++) if (uniform() < rate) hits++;
      return sampled(arm, { queries, hits, ageMs: hits * 30_000 });
    });
  };
  const uneven = experimentOf('test', { control: 9, treatment: 1 });
  const of = (rate: number) =>
    find(
      'cache_bias',
      evidenceOf(
        uneven,
        {},
        {
          sample: [
            ...units('control', { count: 1_800, rate: 0.7, seed: 1 }),
            ...units('treatment', { count: 200, rate, seed: 2 }),
          ],
        },
      ),
    )!;

  it('warns where the larger arm of an unequal split keeps the cache warmer', () => {
    expect(of(0.5)).toMatchObject({ severity: 'warning', action: expect.stringContaining('larger arm warms') });
    expect(of(0.7)).toMatchObject({ severity: 'ok', action: '' });
    expect(of(0.5).received).toMatch(/control 7\d\.\d % aged 30 s, treatment [45]\d\.\d % aged 30 s/);
  });
});

describe('holdout', () => {
  it('must not be reached', () => {
    const [control, treatment] = test.arms;
    const held = Experiment.parse({ ...test, arms: [{ ...control, holdout: 'all' }, treatment] });
    const sample = (leaks: number) => [
      sampled('control', { queries: 100, leaks }),
      sampled('treatment', { queries: 9 }),
    ];
    expect(find('holdout', evidenceOf(test, {}, { sample: sample(0) }))).toBeUndefined();
    // rows that were forgotten say nothing
    expect(find('holdout', evidenceOf(held, {}, { sample: [] }))).toBeUndefined();
    expect(find('holdout', evidenceOf(held, {}, { sample: sample(0) }))!.severity).toBe('ok');
    expect(find('holdout', evidenceOf(held, {}, { sample: sample(3) }))).toMatchObject({
      severity: 'alarm',
      received: 'control 3 of 100 queries',
    });
  });
});
