import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { rows } from '../../../gpu-backend/db/connect.ts';
import { adjustMetric } from '../../../gpu-backend/experiments/adjustment.ts';
import { unitsAbove } from '../../../gpu-backend/experiments/caps.ts';
import { columnsOf, nameOf } from '../../../gpu-backend/experiments/columns.ts';
import { METRICS, metricsOf } from '../../../gpu-backend/experiments/metrics.ts';
import type { HarnessEvent } from '../../../shared/contract/events.ts';
import { Metric, Metrics, SumMetric } from '../../../shared/metric.ts';
import {
  clickOf,
  experimentOf,
  impressionOf,
  rollUp,
  START_MS,
  storeEvents,
  storeExperiment,
} from '../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../fixtures/random.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const DAY_MS = 86_400_000;
const metric = (fields: object) =>
  SumMetric.parse({
    key: 'made',
    title: 'Made',
    numerator: 'revenue',
    unit: 'micros',
    direction: 'increase',
    ...fields,
  });

describe('declarations', () => {
  it('are data, and refused by field where they make no sense', () => {
    expect(METRICS.map(({ key }) => key)).toEqual(expect.arrayContaining(['rpm', 'cpc', 'ctr', 'advertiser_value']));
    for (const [fields, path] of [
      [{ numerator: 'tears' }, 'numerator'],
      [{ capQuantile: 1 }, 'capQuantile'],
      [{ windowDays: 0 }, 'windowDays'],
      [{ scale: -1 }, 'scale'],
      [{ key: 'No Key' }, 'key'],
      [{ direction: 'up' }, 'direction'],
    ] as const) {
      const found = Metric.safeParse({ ...metric({}), ...fields });
      expect(
        found.error?.issues.map((issue) => issue.path[0]),
        JSON.stringify(fields),
      ).toContain(path);
    }
    expect(Metrics.safeParse([metric({}), metric({})]).success).toBe(false);
  });

  it("take an experiment's own beside those of all, and in the place of one of the same key", () => {
    const own = [metric({}), metric({ key: 'ctr', title: 'Clicks per query', denominator: 'queries' })];
    const found = metricsOf({ metrics: own });
    expect(found).toHaveLength(METRICS.length + 1);
    expect(found.filter(({ key }) => key === 'ctr').map(({ title }) => title)).toEqual(['Clicks per query']);
    expect(metricsOf({})).toEqual(METRICS);
  });
});

/** Units with a past under another experiment, ten days before, and three days in this one; half of them on each market. */
function traffic(): { events: HarnessEvent[]; units: { arm: string; before: number; days: number[] }[] } {
  const uniform = uniforms(41);
  const events: HarnessEvent[] = [];
  const units = Array.from({ length: 60 }, (_, at) => {
    const arm = at % 2 === 0 ? 'control' : 'treatment';
    const taste = 10_000 * (1 + Math.floor(40 * uniform() ** 4));
    const pay = (experiment: string, day: number): number => {
      const charge = taste + Math.floor(5_000 * uniform());
      const impression = {
        ...impressionOf({
          id: `${experiment}-${at}-${day}`,
          unit: `u${at}`,
          arm,
          experiment,
          atMs: START_MS + day * DAY_MS,
        }),
        market: at % 4 < 2 ? 'us' : 'de',
      };
      events.push(impression, clickOf(impression, { chargeMicros: charge }));
      return charge;
    };
    return { arm, before: pay('older', -10) + pay('older', -9), days: [0, 1, 2].map((day) => pay('test', day)) };
  });
  // before the days that count, and on the first day itself: neither is the past
  const long = impressionOf({
    id: 'long',
    unit: 'u0',
    arm: 'control',
    experiment: 'older',
    atMs: START_MS - 60 * DAY_MS,
  });
  const same = impressionOf({ id: 'same', unit: 'u0', arm: 'control', experiment: 'older', atMs: START_MS });
  events.push(long, clickOf(long, { chargeMicros: 7 }), same, clickOf(same, { chargeMicros: 9 }));
  // A unit that saw both arms is nobody's, whatever it paid.
  for (const [experiment, day] of [
    ['older', -9],
    ['test', 0],
  ] as const)
    for (const arm of ['control', 'treatment']) {
      const id = `both-${experiment}-${arm}`;
      const impression = impressionOf({ id, unit: 'both', arm, experiment, atMs: START_MS + day * DAY_MS });
      events.push(impression, clickOf(impression, { chargeMicros: 900_000_000 }));
    }
  return { events, units };
}

/** A cap by its definition: the smallest value of all arms' units that at least so large a share of them does not exceed. */
const thresholdOf = (values: readonly number[], quantile: number) =>
  values
    .toSorted((a, b) => a - b)
    .find((value) => values.filter((other) => other <= value).length >= quantile * values.length)!;

it('a cap has as many units before it, from the top, as may be above', () => {
  const values = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 40 });
  const quantile = fc.constantFrom(0.01, 0.5, 0.9, 0.98, 0.999);
  fc.assert(
    fc.property(values, quantile, (of, share) => {
      expect(of.toSorted((a, b) => b - a)[unitsAbove(share, of.length)]).toBe(thresholdOf(of, share));
    }),
    { seed: 6 },
  );
});

describe.each(DATABASES)('columns on the %s database', (_name, open) => {
  const database = useDatabase(open);
  const { events, units } = traffic();
  beforeAll(async () => {
    await storeExperiment(database.db, experimentOf('test'));
    await storeEvents(database.db, events);
  });

  it('are a measure of the first days, up to one cap for all arms, and from before', async () => {
    const plain = metric({});
    const windowed = metric({ key: 'windowed', windowDays: 2 });
    const cut = metric({ key: 'cut', windowDays: 2, capQuantile: 0.9 });
    const found = await rollUp(database.db, 'test', [plain, windowed, cut]);
    expect(found.before).toBe(true);
    const early = ({ days }: (typeof units)[number]) => days[0]! + days[1]!;
    const threshold = thresholdOf(units.map(early), 0.9);
    for (const arm of ['control', 'treatment']) {
      const own = units.filter((unit) => unit.arm === arm);
      const rollup = found.arms.get(arm)!;
      const sums = (values: readonly number[]) => [
        values.reduce((sum, value) => sum + BigInt(value), 0n),
        values.reduce((sum, value) => sum + BigInt(value) ** 2n, 0n),
      ];
      const name = (of: SumMetric) => nameOf(columnsOf(of)[0]!);
      for (const [column, values] of [
        [name(plain), own.map(({ days }) => days[0]! + days[1]! + days[2]!)],
        [name(windowed), own.map(early)],
        [name(cut), own.map((unit) => Math.min(early(unit), threshold))],
        ['revenue before', own.map(({ before }) => before)],
      ] as const)
        expect([column, rollup.sum(column), rollup.product(column, column)]).toEqual([column, ...sums(values)]);
      const together = own.reduce(
        (sum, { before, days }) => sum + BigInt(before) * BigInt(days[0]! + days[1]! + days[2]!),
        0n,
      );
      expect(rollup.product('revenue', 'revenue before')).toBe(together);
    }
    expect(adjustMetric(found, plain)).toMatchObject({ by: 'before' });
    expect(adjustMetric(found, plain)!.varianceShare).toBeLessThan(0.05);
  });

  it('are cut at their caps without a past, whether some units lie above or none, in each stratum', async () => {
    const half = metric({ capQuantile: 0.5, denominator: 'queries' });
    const most = metric({ key: 'most', capQuantile: 0.9 });
    const all = metric({ key: 'all', numerator: 'clicks', capQuantile: 0.999 });
    const found = await rollUp(database.db, 'older', [half, most, all]);
    expect(found.before).toBe(false);
    const of = await rows<{ arm: string; stratum: string; revenue: number; queries: number; clicks: number }>(
      database.db,
      sql`select arm, stratum, revenue::float8 as revenue, queries::float8 as queries, clicks::float8 as clicks
            from experiment_units where experiment = 'older' and not mixed`,
    );
    const cutAt = (quantile: number) => {
      const threshold = thresholdOf(
        of.map(({ revenue }) => revenue),
        quantile,
      );
      return (own: typeof of) => own.map(({ revenue }) => BigInt(Math.min(revenue, threshold)));
    };
    const product = (a: readonly bigint[], b: readonly bigint[]) => a.reduce((sum, x, at) => sum + x * b[at]!, 0n);
    for (const [stratum, byArm] of found.strata)
      for (const [arm, moments] of byArm) {
        const own = of.filter((unit) => unit.arm === arm && unit.stratum === stratum);
        const [low, high] = [cutAt(0.5)(own), cutAt(0.9)(own)];
        const one = own.map(() => 1n);
        const [queries, clicks] = [own.map((unit) => BigInt(unit.queries)), own.map((unit) => BigInt(unit.clicks))];
        const [lowName, highName, clickName] = [half, most, all].map((each) => nameOf(columnsOf(each)[0]!));
        expect(moments.sum(lowName!)).toBe(product(low, one));
        expect(moments.product(lowName!, lowName!)).toBe(product(low, low));
        expect(moments.product(lowName!, 'queries')).toBe(product(low, queries));
        expect(moments.sum(highName!)).toBe(product(high, one));
        expect(moments.product(highName!, highName!)).toBe(product(high, high));
        expect(moments.sum(clickName!)).toBe(product(clicks, one));
        expect(moments.product(clickName!, clickName!)).toBe(product(clicks, clicks));
      }
    expect(found.strata.size).toBe(2);
  });

  it('come apart by stratum, which adjusts where there is no past', async () => {
    const ratio = metric({ denominator: 'queries' });
    const found = await rollUp(database.db, 'test', [ratio]);
    expect([...found.strata.keys()]).toEqual(['de  ', 'us  ']);
    expect(adjustMetric({ ...found, before: false }, metric({}))).toMatchObject({ by: 'strata' });
    expect(adjustMetric({ ...found, before: false, strata: new Map() }, ratio)).toBeUndefined();
    // a ratio whose denominator never varied before has a covariate all the same
    expect(adjustMetric(found, ratio)).toMatchObject({ by: 'before' });
  });
});
