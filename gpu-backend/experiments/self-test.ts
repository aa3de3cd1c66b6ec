/**
 * The A/A test that the system runs on itself: units of an experiment are dealt to two arms that mean nothing, again and
 * again by a hash, and go through the report's own metrics and test. Whatever it finds is false, so the share of finds must be
 * the level; where it is not, a metric is too skewed or too dependent for its p-values. Deterministic: no clock, no chance.
 */
import { sql } from 'drizzle-orm';
import type { SelfTestResult } from '../../shared/contract/experiments.ts';
import { hash32 } from '../../shared/experiment.ts';
import { isSum, type SumMetric } from '../../shared/metric.ts';
import { type Database, rows } from '../db/connect.ts';
import { getExperiment } from '../serving-config/experiment-store.ts';
import { capsOf } from './caps.ts';
import { columnsOf, nameOf, quantityOf, unitRows } from './columns.ts';
import { estimateQuantity, type Moments } from './estimators/quantity.ts';
import { compare } from './estimators/welch.ts';
import { METRICS } from './metrics.ts';
import { advance } from './rollup-advance.ts';

/** A unit's measures under the names of their columns. */
export interface StoredUnit {
  unitId: string;
  values: Readonly<Record<string, number>>;
}

export interface SelfTestOptions {
  /** How often the units are dealt anew; 400 unless given. */
  deals?: number;
  /** Chance of a false find that is meant; 0.05 unless given. */
  level?: number;
}

/** Units that are dealt. */
const MOST_UNITS = 2_000;

/** Deals the units and counts what the metrics' tests find. */
export function selfTest(
  units: readonly StoredUnit[],
  metrics: readonly SumMetric[],
  { deals = 400, level = 0.05 }: SelfTestOptions = {},
): SelfTestResult {
  const quantities = metrics.map((metric) => ({ metric, quantity: quantityOf(columnsOf(metric), metric.scale) }));
  const names = [
    ...new Set(quantities.flatMap(({ quantity: { numerator, denominator } }) => [numerator, denominator ?? []].flat())),
  ];
  const columns = new Map(names.map((name) => [name, Float64Array.from(units, ({ values }) => values[name]!)]));
  const found = quantities.map(() => ({ deals: 0, falsePositives: 0 }));
  for (let deal = 0; deal < deals; deal++) {
    const arms: [number[], number[]] = [[], []];
    for (const [at, { unitId }] of units.entries()) arms[hash32(`self-test:${deal}:${unitId}`) >>> 31]!.push(at);
    const [a, b] = arms.map((members) => sumsOf(columns, members));
    for (const [i, { quantity }] of quantities.entries()) {
      const effect = compare(estimateQuantity(a, quantity), estimateQuantity(b, quantity), 1 - level);
      if (effect === undefined) continue;
      found[i]!.deals += 1;
      if (effect.pValue < level) found[i]!.falsePositives += 1;
    }
  }
  const error = Math.sqrt((level * (1 - level)) / deals);
  return {
    units: units.length,
    level,
    metrics: quantities.map(({ metric }, i) => {
      const { deals: compared, falsePositives } = found[i]!;
      const rate = compared === 0 ? null : falsePositives / compared;
      const ok = rate === null || Math.abs(rate - level) <= 3 * error;
      return { metric: metric.key, deals: compared, falsePositives, rate, ok };
    }),
  };
}

/** Sums in doubles, which hold whole numbers up to 2^53 and are rounded above: enough for a rate, and fast. */
function sumsOf(columns: ReadonlyMap<string, Float64Array>, members: readonly number[]): Moments {
  return {
    units: members.length,
    sum(name) {
      const of = columns.get(name)!;
      return BigInt(members.reduce((sum, at) => sum + of[at]!, 0));
    },
    product(a, b) {
      const [x, y] = [columns.get(a)!, columns.get(b)!];
      return BigInt(members.reduce((sum, at) => sum + x[at]! * y[at]!, 0));
    },
  };
}

/** The experiment's units with the smallest hashes, with what the metrics read of them. */
export async function readUnits(
  db: Database,
  experiment: string,
  metrics: readonly SumMetric[],
): Promise<StoredUnit[]> {
  const columns = [...new Map(metrics.flatMap(columnsOf).map((column) => [nameOf(column), column])).values()];
  const found = await rows<{ unit_id: string } & Record<string, string>>(
    db,
    sql`select * from (${unitRows(experiment, columns, { caps: await capsOf(db, experiment, columns) })}) own where arm is not null and not mixed
      order by md5(unit_id), unit_id limit ${MOST_UNITS}`,
  );
  return found.map((row) => ({
    unitId: row.unit_id,
    values: Object.fromEntries(columns.map((column) => [nameOf(column), Number(row[nameOf(column)])])),
  }));
}

/** Reads the experiment's units and tests them; throws `not_found` for an unknown key. */
export async function runSelfTest(db: Database, key: string): Promise<SelfTestResult> {
  await getExperiment(db, key);
  await advance(db);
  const metrics = METRICS.filter(isSum);
  return selfTest(await readUnits(db, key, metrics), metrics);
}
