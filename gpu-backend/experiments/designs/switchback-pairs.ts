/**
 * The effects of a served switchback: its units are windows, and blocks of two windows of a market are the clusters. Both arms are
 * measured on the same blocks, so that a comparison takes the covariance of the two into account: hours and trends that a
 * block shares drop out. Blocks that the experiment's first or last query cuts are left out, and so are those that a new version
 * deals anew while they last: not one window of theirs is of each arm. A window without queries is 0.
 */
import { sql } from 'drizzle-orm';
import type { Effect } from '../../../shared/contract/experiments.ts';
import type { Experiment } from '../../../shared/experiment.ts';
import type { SumMetric } from '../../../shared/metric.ts';
import { readWindowUnit } from '../../../shared/switchback.ts';
import { type Database, rows } from '../../db/connect.ts';
import { capsOf } from '../caps.ts';
import { columnsOf, nameOf, quantityOf, unitRows } from '../columns.ts';
import { studentCritical, studentPValue } from '../distributions/student-t.ts';
import { comparable, type Estimate } from '../estimators/estimate.ts';
import { covarianceOf, estimateQuantity, type Moments, momentsOf, type Quantity } from '../estimators/quantity.ts';
import { FEWEST_UNITS, sequenceCritical, sequencePValue } from '../estimators/sequence.ts';
import { effectAt } from '../estimators/welch.ts';
import type { Rollup } from '../rollup.ts';

/** A metric in both arms of the same clusters; `units` are clusters. */
export interface Pair {
  control: Estimate | undefined;
  treatment: Estimate | undefined;
  covariance: number | undefined;
}

/** What one window came to. */
export interface WindowSums {
  unitId: string;
  /** `undefined` where both were shown in it. */
  arm: string | undefined;
  /** Whole numbers by column. */
  values: Readonly<Record<string, number>>;
}

export interface PairOptions {
  /** A block is these two windows long, in minutes. */
  windowMinutes: number;
  control: string;
  /** First and last query, UTC milliseconds. */
  fromMs: number;
  toMs: number;
}

const of = (arm: 'control' | 'treatment', { numerator, denominator, scale }: Quantity): Quantity => ({
  numerator: `${arm} ${numerator}`,
  denominator: denominator === undefined ? undefined : `${arm} ${denominator}`,
  scale,
});

/** Pairs of the quantities, in their order. */
export function pairWindows(
  windows: readonly WindowSums[],
  quantities: readonly Quantity[],
  { windowMinutes, control, fromMs, toMs }: PairOptions,
): Pair[] {
  const blockMs = 2 * windowMinutes * 60_000;
  const [first, end] = [Math.ceil(fromMs / blockMs), Math.floor(toMs / blockMs)];
  const blocks = Map.groupBy(windows, ({ unitId }) => {
    const at = readWindowUnit(unitId);
    const block = at === undefined ? Number.NaN : Math.floor(at.window / 2);
    return block >= first && block < end ? `${at!.market} ${block}` : undefined;
  });
  blocks.delete(undefined);
  const isOneOfEach = (block: readonly WindowSums[]) =>
    block.every(({ arm }) => arm !== undefined) && new Set(block.map(({ arm }) => arm)).size === block.length;
  const sumsOf = ({ arm, values }: WindowSums) =>
    Object.entries(values).map(([name, value]) => [`${arm === control ? 'control' : 'treatment'} ${name}`, value]);
  const moments = momentsOf<string>(
    [...blocks.values()].filter(isOneOfEach).map((block) => Object.fromEntries(block.flatMap(sumsOf))),
  );
  return quantities.map((quantity) =>
    pairOf(moments, { control: of('control', quantity), treatment: of('treatment', quantity) }),
  );
}

/** The pair of a quantity in control and in treatment, from sums over the clusters that both have in common. */
export function pairOf<Name extends string>(
  clusters: Moments<Name>,
  { control, treatment }: { control: Quantity<Name>; treatment: Quantity<Name> },
): Pair {
  return {
    control: estimateQuantity(clusters, control),
    treatment: estimateQuantity(clusters, treatment),
    covariance: covarianceOf(clusters, control, treatment),
  };
}

/** Pairs of an experiment's metrics, by their key; `undefined` for an experiment that is not a switchback. */
export async function readPairs(
  db: Database,
  experiment: Experiment,
  { metrics, rollup }: { metrics: readonly SumMetric[]; rollup: Rollup },
): Promise<ReadonlyMap<string, Pair> | undefined> {
  const { key, control, switchback } = experiment;
  if (switchback === undefined) return undefined;
  const { fromMs, toMs } = rollup;
  if (fromMs === undefined || toMs === undefined) return new Map();
  const columns = [...new Map(metrics.flatMap(columnsOf).map((column) => [nameOf(column), column])).values()];
  const found = await rows<{ unit_id: string; arm: string; mixed: boolean } & Record<string, string>>(
    db,
    sql`select * from (${unitRows(key, columns, { caps: await capsOf(db, key, columns) })}) windows where arm is not null`,
  );
  const windows = found.map(({ unit_id: unitId, arm, mixed, ...row }) => ({
    unitId,
    arm: mixed ? undefined : arm,
    values: Object.fromEntries(columns.map((column) => [nameOf(column), Number(row[nameOf(column)])])),
  }));
  const quantities = metrics.map((metric) => quantityOf(columnsOf(metric), metric.scale));
  const pairs = pairWindows(windows, quantities, { windowMinutes: switchback.windowMinutes, control, fromMs, toMs });
  return new Map(metrics.map((metric, at) => [metric.key, pairs[at]!]));
}

/** The effect at a fixed horizon: paired t over blocks, relative by Fieller. */
export function comparePair({ control, treatment, covariance }: Pair, confidence: number): Effect | undefined {
  const arms: [Estimate | undefined, Estimate | undefined] = [control, treatment];
  if (!comparable(arms) || !isApart(arms, covariance)) return undefined;
  const degrees = arms[0].units - 1;
  return effectAt(...arms, {
    critical: studentCritical(confidence, degrees),
    pValue: (t) => studentPValue(t, degrees),
    covariance,
  });
}

/** The same at every look; `undefined` before there are {@link FEWEST_UNITS} blocks. */
export function comparePairAnytime({ control, treatment, covariance }: Pair, confidence: number): Effect | undefined {
  const arms: [Estimate | undefined, Estimate | undefined] = [control, treatment];
  if (!comparable(arms) || !isApart(arms, covariance) || arms[0].units < FEWEST_UNITS) return undefined;
  const { units } = arms[0];
  return effectAt(...arms, {
    critical: sequenceCritical(units, { confidence }),
    pValue: (z) => sequencePValue(z, units, { confidence }),
    covariance,
  });
}

/** Whether the difference varies from block to block at all. */
function isApart([a, b]: [{ variance: number }, { variance: number }], covariance = 0): boolean {
  const most = a.variance + b.variance;
  return most - 2 * covariance > 1e-12 * most;
}
