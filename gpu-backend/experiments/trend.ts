/**
 * The effect so far, after each step of time: sums over units of what they did up to then. A unit's share of a sum of
 * products changes only where it did something, so the changes are summed by step and added up here, exactly.
 * Steps are days, whose changes the rollups hold; in an experiment's first days, while rows are few, they are shorter and
 * read from the rows.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { Trend, TrendPoint } from '../../shared/contract/report-detail.ts';
import type { MeasureName, SumMetric } from '../../shared/metric.ts';
import { type Database, rows } from '../db/connect.ts';
import { exposures, impressions, productName } from '../db/schema.ts';
import { readDayGrowth } from './arm-sums.ts';
import { estimateQuantity, type Moments } from './estimators/quantity.ts';
import { compareAnytime } from './estimators/sequence.ts';
import { MEASURES, type Source } from './measures.ts';
import type { Rollup } from './rollup.ts';
import { EXPOSED } from './rollup-facts.ts';
import { stepFor } from './timeline.ts';

const DAY_MS = 86_400_000;
/** Up to here an experiment is young, and its rows are read. */
const YOUNG_MS = 3 * DAY_MS;
const FEW_QUERIES = 200_000;
/** Most looks that a chart can show apart. */
const MOST_LOOKS = 60;

export interface TrendOptions {
  /** Those with a window or a cap are left out: what counts of a unit depends on what it does later. */
  metrics: readonly SumMetric[];
  control: string;
  arms: readonly string[];
  confidence: number;
}

/** Running effects of all arms but control; metrics and arms in the order given. */
export async function effectTrend(
  db: Database,
  experiment: string,
  { rollup, ...asked }: TrendOptions & { rollup: Rollup },
): Promise<Trend> {
  const plain = asked.metrics.filter(
    ({ windowDays, capQuantile }) => windowDays === undefined && capQuantile === undefined,
  );
  const options = { ...asked, metrics: plain };
  const { fromMs, toMs } = rollup;
  if (fromMs === undefined || toMs === undefined || plain.length === 0) return { stepMs: DAY_MS, series: [] };
  const queries = [...rollup.arms.values()].reduce((sum, arm) => sum + arm.queries, 0);
  const young = toMs - fromMs < YOUNG_MS && queries <= FEW_QUERIES;
  const stepMs = young ? stepFor(fromMs, toMs) : DAY_MS;
  const changes = young
    ? await changesInRows(db, experiment, { metrics: plain, stepMs })
    : await readDayGrowth(db, experiment, { measures: measuresOf(plain), pairs: pairsOf(plain) });
  return { stepMs, series: seriesOf(changes, options) };
}

/** What changed in a step: units that appeared, and by how much each sum grew. */
type Change = { arm: string; step_ms: number } & Record<string, string | number>;

const measuresOf = (metrics: readonly SumMetric[]) => [
  ...new Set(metrics.flatMap(({ numerator, denominator }) => [numerator, denominator ?? numerator])),
];

/** The products that the variances of the metrics are made of. */
function pairsOf(metrics: readonly SumMetric[]): [MeasureName, MeasureName][] {
  const pairs = new Map<string, [MeasureName, MeasureName]>();
  for (const { numerator: y, denominator: x = y } of metrics)
    for (const [a, b] of [[y, y] as const, [x, y] as const, [x, x] as const]) pairs.set(productName(a, b), [a, b]);
  return [...pairs.values()];
}

const name = (text: string) => sql.identifier(text);
const list = (parts: SQL[]) => sql.join(parts, sql`, `);

async function changesInRows(
  db: Database,
  experiment: string,
  { metrics, stepMs }: { metrics: readonly SumMetric[]; stepMs: number },
): Promise<Change[]> {
  const measures = measuresOf(metrics);
  return rows<Change>(db, changesOf(fromRows(experiment, { measures, stepMs }), { measures, metrics }));
}

/** Clicks and conversions count in the step of their query, as they do in the rollup. */
function fromRows(experiment: string, { measures, stepMs }: { measures: readonly MeasureName[]; stepMs: number }): SQL {
  const sources = new Set<Source>(['impression', ...measures.map((measure) => MEASURES[measure].from)]);
  const step = sql`(floor(extract(epoch from ${impressions.at}) * 1000 / ${stepMs}::float8) * ${stepMs}::float8)::float8`;
  const facts = [...sources].map((source) => {
    const values = measures.map((measure) => {
      const { from, value } = MEASURES[measure];
      return sql`${from === source ? sql`${value}` : sql`0`} as ${name(measure)}`;
    });
    return sql`select ${exposures.unitId} as unit_id, ${exposures.arm} as arm, ${step} as step_ms, ${list(values)}
      from ${EXPOSED[source]} where ${exposures.experiment} = ${experiment} and not ${impressions.bot}`;
  });
  return sql`select unit_id, arm, step_ms, ${list(measures.map((m) => sql`sum(${name(m)})::numeric as ${name(m)}`))}
    from (${sql.join(facts, sql` union all `)}) facts group by unit_id, arm, step_ms`;
}

function changesOf(
  source: SQL,
  { measures, metrics }: { measures: readonly MeasureName[]; metrics: readonly SumMetric[] },
): SQL {
  const total = (measure: MeasureName) => name(`${measure} so far`);
  const products = pairsOf(metrics).map(
    ([a, b]) =>
      sql`sum(${total(a)} * ${total(b)} - (${total(a)} - ${name(a)}) * (${total(b)} - ${name(b)}))::text as ${name(productName(a, b))}`,
  );
  // Units of several arms count nowhere, as in the rollup.
  return sql`with steps as (${source}),
    marked as (select *, min(arm) over unit <> max(arm) over unit as mixed from steps window unit as (partition by unit_id)),
    running as (
      select arm, step_ms, row_number() over unit as visit, ${list(measures.map((m) => sql`${name(m)}, sum(${name(m)}) over unit as ${total(m)}`))}
      from marked where not mixed window unit as (partition by unit_id order by step_ms rows unbounded preceding))
    select arm, step_ms, (count(*) filter (where visit = 1))::int as units,
      ${list([...measures.map((m) => sql`sum(${name(m)})::text as ${name(m)}`), ...products])}
    from running group by arm, step_ms order by step_ms, arm`;
}

function seriesOf(changes: readonly Change[], { metrics, control, arms, confidence }: TrendOptions): Trend['series'] {
  const steps = [...new Set(changes.map(({ step_ms }) => step_ms))].sort((a, b) => a - b);
  const every = Math.ceil(steps.length / MOST_LOOKS);
  const sums = new Map(arms.map((arm) => [arm, new RunningMoments()]));
  const points = new Map<string, TrendPoint[]>();
  const byStep = Map.groupBy(changes, ({ step_ms }) => step_ms);
  for (const [i, atMs] of steps.entries()) {
    for (const change of byStep.get(atMs)!) sums.get(change.arm)?.add(change);
    if ((steps.length - 1 - i) % every !== 0) continue;
    for (const metric of metrics) {
      const base = estimateQuantity(sums.get(control), metric);
      for (const arm of arms) {
        if (arm === control) continue;
        const effect = compareAnytime(base, estimateQuantity(sums.get(arm), metric), { confidence });
        if (effect === undefined || effect.relative === null || effect.relativeInterval === null) continue;
        const units = sums.get(control)!.units + sums.get(arm)!.units;
        const at = `${metric.key} ${arm}`;
        points.set(at, [
          ...(points.get(at) ?? []),
          { atMs, units, relative: effect.relative, interval: effect.relativeInterval },
        ]);
      }
    }
  }
  return metrics.flatMap(({ key }) =>
    arms
      .filter((arm) => arm !== control)
      .map((arm) => ({ metric: key, arm, points: points.get(`${key} ${arm}`) ?? [] })),
  );
}

class RunningMoments implements Moments {
  units = 0;
  readonly #sums = new Map<string, bigint>();

  add({ arm: _arm, step_ms: _at, units, ...grown }: Change): void {
    this.units += Number(units);
    for (const [key, amount] of Object.entries(grown))
      this.#sums.set(key, (this.#sums.get(key) ?? 0n) + BigInt(amount));
  }

  sum(measure: string): bigint {
    return this.#sums.get(measure) ?? 0n;
  }

  product(a: string, b: string): bigint {
    return this.#sums.get(productName(a, b)) ?? 0n;
  }
}
