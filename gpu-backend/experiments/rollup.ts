/**
 * From rollups to sufficient statistics: exact sums over units, by arm and stratum, of each column and of products of
 * columns. Those of plain measures are kept (arm-sums.ts), capped ones are these less what lies above (capped-sums.ts),
 * and the others come from one row per unit (unit-sums.ts).
 *
 * A unit counts under the arm that it was exposed to. Rows of bots are left out, and so are units that were seen in more
 * than one arm (a lost cookie, a changed definition), since they were treated with both; both are counted.
 */
import { sql } from 'drizzle-orm';
import { isSum, type Metric, type SumMetric } from '../../shared/metric.ts';
import { type Database, millis, rows } from '../db/connect.ts';
import { experimentArmDays, experimentUnits, productName } from '../db/schema.ts';
import { type ArmSums, readArmSums } from './arm-sums.ts';
import { cappedSums, type Excess, isCappedPair, readExcess, withoutCaps } from './capped-sums.ts';
import { type Column, columnsOf, covariateColumnsOf, isBefore, isKept, nameOf, quantityOf } from './columns.ts';
import type { Estimate } from './estimators/estimate.ts';
import { estimateQuantity, type Moments, pooled } from './estimators/quantity.ts';
import { type RowQuantiles, rowQuantiles } from './row-quantiles.ts';
import { readSample, type UnitRecord } from './unit-sample.ts';
import { readUnitSums, type UnitSums } from './unit-sums.ts';

export interface ArmRollup extends Moments {
  arm: string;
  queries: number;
}

export interface Rollup {
  /** Arms that have units, by key. */
  arms: Map<string, ArmRollup>;
  /** The same apart by the market, device and consent of the unit's first query: moments by arm, by stratum. */
  strata: Map<string, Map<string, Moments>>;
  /** Of the units whose every query has the counterfactual log: whether another arm would ever have shown other ads. */
  compared: { triggered: Map<string, Moments>; rest: Map<string, Moments> };
  /** Units by what they were first seen in (strata.ts). */
  places: { arm: string; stratum: string; served: string; units: number }[];
  /** Units whose rows were read, and what is no sum over units but of them. */
  sample: UnitRecord[];
  quantiles: RowQuantiles;
  /** Whether units were seen before the experiment, so that the covariate columns say something. */
  before: boolean;
  /** First and last answered query counted, UTC milliseconds. */
  fromMs: number | undefined;
  toMs: number | undefined;
  /** Answered queries of bots. */
  bots: number;
  /** Units seen in several arms. */
  mixedUnits: number;
}

/** The products of columns that the variances and covariances of the metrics are made of, by name. */
function pairsOf(groups: readonly Column[][]): Map<string, readonly [Column, Column]> {
  const pairs = new Map<string, readonly [Column, Column]>();
  for (const columns of groups)
    for (const a of columns) for (const b of columns) pairs.set(productName(nameOf(a), nameOf(b)), [a, b]);
  return pairs;
}

/** The statistics that the metrics need, of the events that are rolled up (rollup-advance.ts). */
export async function readRollup(db: Database, experiment: string, metrics: readonly Metric[]): Promise<Rollup> {
  const byQuantile = metrics.filter((metric) => !isSum(metric));
  const [{ cells, seen, before }, sample] = await Promise.all([
    readCells(db, experiment, metrics.filter(isSum)),
    readSample(db, experiment, [...new Set(byQuantile.map(({ of }) => of))]),
  ]);
  const byArm = (of: typeof cells) =>
    new Map(
      [...Map.groupBy(of, ({ arm }) => arm)].map(([arm, own]) => [arm, pooled(own.map(({ moments }) => moments))]),
    );
  const strata = Map.groupBy(cells, ({ stratum }) => stratum);
  return {
    arms: new Map(
      [...byArm(cells)].map(([arm, moments]) => [arm, { ...moments, arm, queries: Number(moments.sum('queries')) }]),
    ),
    strata: new Map([...strata].map(([stratum, own]) => [stratum, byArm(own)])),
    compared: {
      triggered: byArm(cells.filter(({ triggered }) => triggered === 'yes')),
      rest: byArm(cells.filter(({ triggered }) => triggered === 'no')),
    },
    places: seen.places,
    sample,
    quantiles: rowQuantiles(sample, byQuantile),
    before,
    fromMs: seen.fromMs,
    toMs: seen.toMs,
    bots: seen.bots,
    mixedUnits: seen.mixedUnits,
  };
}

/** Moments by arm, stratum and whether triggered, in an order that is the same in every database, because doubles are summed over strata. */
async function readCells(db: Database, experiment: string, metrics: readonly SumMetric[]) {
  const seen = await readSeen(db, experiment);
  const before = seen.begun !== undefined && (await seenBefore(db, experiment, seen.begun));
  const groups = metrics.map((metric) => [...columnsOf(metric), ...(before ? covariateColumnsOf(metric) : [])]);
  const pairs = [...pairsOf(groups).values()];
  const capped = before ? [] : pairs.filter(isCappedPair); // for covariates every unit is read in any case
  const others = pairs.filter((pair) => !capped.includes(pair));
  const kept = [...others.filter((pair) => pair.every(isKept)), ...withoutCaps(capped)];
  const [armSums, excess, unitSums] = await Promise.all([
    readArmSums(db, experiment, {
      measures: [...new Set(['queries' as const, ...kept.flat().map(({ measure }) => measure)])],
      pairs: kept.map(([a, b]) => [a.measure, b.measure] as const),
    }),
    readExcess(db, experiment, capped),
    seen.begun === undefined ? [] : readUnitSums(db, experiment, { pairs: others, begun: seen.begun }),
  ]);
  const cell = ({ arm, stratum, triggered }: { arm: string; stratum: string; triggered: string }) =>
    JSON.stringify([arm, stratum, triggered]);
  const byCell = <T extends ArmSums | UnitSums | Excess>(of: readonly T[]) =>
    new Map(of.map((row) => [cell(row), row]));
  const [above, own] = [byCell(excess), byCell(unitSums)];
  const cells = armSums
    .toSorted((a, b) => (a.stratum < b.stratum ? -1 : 1))
    .map((row) => ({
      ...row,
      moments: momentsIn({ ...row, ...cappedSums(capped, row, above.get(cell(row))), ...own.get(cell(row)) }),
    }));
  return { cells, seen, before };
}

/** Moments from sums under the names of columns and of their products; 0 where units went elsewhere while statement after statement read them. */
export const momentsIn = (sums: Record<string, string>): Moments => ({
  units: Number(sums.units),
  sum: (column) => BigInt(sums[column] ?? 0),
  product: (a, b) => BigInt(sums[productName(a, b)] ?? 0),
});

/** A metric's value in an arm; `undefined` without units, or where its denominator is 0. */
export function estimateMetric({ arms, quantiles }: Rollup, metric: Metric, arm: string): Estimate | undefined {
  return isSum(metric)
    ? estimateQuantity(arms.get(arm), quantityOf(columnsOf(metric), metric.scale))
    : quantiles.get(metric.key)?.get(arm);
}

interface Seen extends Pick<Rollup, 'fromMs' | 'toMs' | 'bots' | 'mixedUnits' | 'places'> {
  /** First UTC day of any unit. */
  begun: string | undefined;
}

/** Where and when units were seen first, and what is left out: every unit is looked at, once. */
async function readSeen(db: Database, experiment: string): Promise<Seen> {
  const found = await rows<{
    arm: string | null;
    mixed: boolean;
    stratum: string;
    served: string;
    units: number;
    bots: number;
    from_ms: number | null;
    to_ms: number | null;
  }>(
    db,
    sql`select arm, mixed, stratum, served, count(*)::float8 as units, sum(bots)::float8 as bots,
        ${millis(sql`min(first_at)`)} as from_ms, ${millis(sql`max(last_at)`)} as to_ms
      from ${experimentUnits} where experiment = ${experiment} group by arm, mixed, stratum, served`,
  );
  const counted = found.filter(({ arm, mixed }) => arm !== null && !mixed);
  const least = (of: typeof found) => (of.length === 0 ? undefined : Math.min(...of.map((row) => row.from_ms!)));
  const begunMs = least(found.filter(({ from_ms }) => from_ms !== null));
  return {
    begun: begunMs === undefined ? undefined : new Date(begunMs).toISOString().slice(0, 10),
    fromMs: least(counted),
    toMs: counted.length === 0 ? undefined : Math.max(...counted.map((row) => row.to_ms!)),
    bots: found.reduce((sum, row) => sum + row.bots, 0),
    mixedUnits: found.reduce((sum, { mixed, units }) => sum + (mixed ? units : 0), 0),
    places: counted.map(({ arm, stratum, served, units }) => ({ arm: arm!, stratum, served, units })),
  };
}

/** Whether any unit at all was seen in the days that covariates come from. */
async function seenBefore(db: Database, experiment: string, begun: string): Promise<boolean> {
  const [row] = await rows<{ seen: boolean }>(
    db,
    sql`select exists (select from ${experimentArmDays} where experiment <> ${experiment} and ${isBefore(begun)}) as seen`,
  );
  return row!.seen;
}
