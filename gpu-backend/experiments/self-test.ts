/**
 * The A/A test that the system runs on itself: units of an experiment are dealt to two arms that mean nothing, again and
 * again by a hash, and go through the report's own metrics and test. Whatever it finds is false, so the share of finds must be
 * the level; where it is not, a metric is too skewed or too dependent for its p-values. Deterministic: no clock, no chance.
 */
import { sql } from 'drizzle-orm';
import { hash32 } from '../../shared/experiment.ts';
import type { Metric } from '../../shared/metric.ts';
import { type Database, rows } from '../db/connect.ts';
import { capsOf } from './caps.ts';
import { columnsOf, nameOf, quantityOf, unitRows } from './columns.ts';
import type { Moments } from './estimators/quantity.ts';
import { estimateQuantity } from './estimators/quantity.ts';
import { compare } from './estimators/welch.ts';

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

export interface SelfTestResult {
  units: number;
  level: number;
  metrics: {
    metric: string;
    /** Deals in which there was something to compare. */
    deals: number;
    falsePositives: number;
    rate: number | null;
    /** The rate is within three standard errors of the level. */
    ok: boolean;
  }[];
}

/** Units that are dealt. */
const MOST_UNITS = 2_000;

/** Deals the units and counts what the metrics' tests find. */
export function selfTest(
  units: readonly StoredUnit[],
  metrics: readonly Metric[],
  { deals = 400, level = 0.05 }: SelfTestOptions = {},
): SelfTestResult {
  const quantities = metrics.map((metric) => ({ metric, quantity: quantityOf(columnsOf(metric), metric.scale) }));
  const found = quantities.map(() => ({ deals: 0, falsePositives: 0 }));
  for (let deal = 0; deal < deals; deal++) {
    const arms: [StoredUnit[], StoredUnit[]] = [[], []];
    for (const unit of units) arms[hash32(`self-test:${deal}:${unit.unitId}`) >>> 31]!.push(unit);
    const [a, b] = arms.map(sumsOf);
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
      return {
        metric: metric.key,
        deals: compared,
        falsePositives,
        rate,
        ok: rate === null || Math.abs(rate - level) <= 3 * error,
      };
    }),
  };
}

/** Sums in doubles, which hold whole numbers up to 2^53 and are rounded above: enough for a rate, and fast. */
function sumsOf(units: readonly StoredUnit[]): Moments {
  const whole = (values: Iterable<number>) => {
    let total = 0;
    for (const value of values) total += value;
    return BigInt(Math.round(total));
  };
  return {
    units: units.length,
    sum: (name) => whole(units.map(({ values }) => values[name]!)),
    product: (a, b) => whole(units.map(({ values }) => values[a]! * values[b]!)),
  };
}

/** The experiment's units with the smallest hashes, with what the metrics read of them. */
export async function readUnits(db: Database, experiment: string, metrics: readonly Metric[]): Promise<StoredUnit[]> {
  const columns = [...new Map(metrics.flatMap(columnsOf).map((column) => [nameOf(column), column])).values()];
  const found = await rows<{ unit_id: string } & Record<string, string>>(
    db,
    sql`select * from (${unitRows(experiment, columns, await capsOf(db, experiment, columns))}) own where arm is not null and not mixed
      order by md5(unit_id), unit_id limit ${MOST_UNITS}`,
  );
  return found.map((row) => ({
    unitId: row.unit_id,
    values: Object.fromEntries(columns.map((column) => [nameOf(column), Number(row[nameOf(column)])])),
  }));
}
