/**
 * From rollups to sufficient statistics: per arm the sums over units of each measure and of products of measures, in one
 * statement over one row a unit. Whole numbers all the way, so neither the order of events nor that of the plan shows.
 *
 * A unit counts under the arm that it was exposed to. Rows of bots are left out, and so are units that were seen in more
 * than one arm (a lost cookie, a changed definition), since they were treated with both; both are counted.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { experimentUnits } from '../db/schema.ts';
import type { MeasureName } from './measures.ts';
import type { Metric } from './metrics.ts';
import { advance } from './rollup-advance.ts';

export interface ArmRollup {
  arm: string;
  units: number;
  queries: number;
  /** Sum of a measure over the arm. */
  sum(measure: MeasureName): bigint;
  /** Sum over units of the product of two measures. */
  product(a: MeasureName, b: MeasureName): bigint;
}

export interface Rollup {
  /** Arms that have units, by key. */
  arms: Map<string, ArmRollup>;
  /** First and last answered query counted, UTC milliseconds. */
  fromMs: number | undefined;
  toMs: number | undefined;
  /** Answered queries of bots. */
  bots: number;
  /** Units seen in several arms. */
  mixedUnits: number;
}

type Row = { arm: string | null; mixed: boolean; from_ms: number | null; to_ms: number | null } & Record<
  string,
  string
>;

/** Whole milliseconds of an instant, exact in a double. */
const millis = (at: SQL) => sql`round(extract(epoch from ${at}) * 1000)::float8`;

/** Name of a pair, the same in either order. */
const pair = (a: MeasureName, b: MeasureName) => [a, b].sort().join('*');

/** The products of measures that the metrics' variances are made of. */
function pairsOf(metrics: readonly Metric[]): [MeasureName, MeasureName][] {
  const pairs = new Map<string, [MeasureName, MeasureName]>();
  for (const { numerator: y, denominator: x } of metrics) {
    const needed: [MeasureName, MeasureName][] =
      x === undefined
        ? [[y, y]]
        : [
            [y, y],
            [x, y],
            [x, x],
          ];
    for (const [a, b] of needed) pairs.set(pair(a, b), [a, b]);
  }
  return [...pairs.values()];
}

/** Factors up to here have a product that fits a bigint, which is summed several times faster than numeric. */
const SMALL = 2 ** 31;

/** Sum over rows of a product, exact however large the factors. */
function sumOfProducts(a: MeasureName, b: MeasureName): SQL {
  const [x, y] = [sql`${experimentUnits[a]}`, sql`${experimentUnits[b]}`];
  const small = sql`${x} < ${SMALL}::bigint and ${y} < ${SMALL}::bigint`;
  return sql`(coalesce(sum(${x} * ${y}) filter (where ${small}), 0)
    + coalesce(sum(${x}::numeric * ${y}) filter (where not (${small})), 0))::text`;
}

/** The statistics that the metrics need, of all events stored so far. */
export async function rollUp(db: Database, experiment: string, metrics: readonly Metric[]): Promise<Rollup> {
  await advance(db);
  const used = metrics.flatMap(({ numerator: y, denominator: x }) => (x === undefined ? [y] : [y, x]));
  const measures = [...new Set<MeasureName>(['queries', ...used])];
  const as = (name: string) => sql.identifier(name);
  const found = await rows<Row>(
    db,
    sql`select ${experimentUnits.arm} as arm, ${experimentUnits.mixed} as mixed, count(*)::text as units,
        sum(${experimentUnits.bots})::text as bots, ${millis(sql`min(${experimentUnits.firstAt})`)} as from_ms,
        ${millis(sql`max(${experimentUnits.lastAt})`)} as to_ms,
        ${sql.join(
          [
            ...measures.map((name) => sql`sum(${experimentUnits[name]})::text as ${as(name)}`),
            ...pairsOf(metrics).map(([a, b]) => sql`${sumOfProducts(a, b)} as ${as(pair(a, b))}`),
          ],
          sql`, `,
        )}
      from ${experimentUnits} where ${experimentUnits.experiment} = ${experiment} group by 1, 2`,
  );
  const counted = found.filter(({ arm, mixed }) => arm !== null && !mixed);
  const times = counted.map(({ from_ms, to_ms }) => [from_ms!, to_ms!] as const);
  const total = (of: readonly Row[], name: 'units' | 'bots') => of.reduce((sum, row) => sum + Number(row[name]), 0);
  return {
    arms: new Map(
      counted.map((row) => [
        row.arm!,
        {
          arm: row.arm!,
          units: Number(row.units),
          queries: Number(row.queries),
          sum: (measure) => BigInt(row[measure]!),
          product: (a, b) => BigInt(row[pair(a, b)]!),
        },
      ]),
    ),
    fromMs: times.length === 0 ? undefined : Math.min(...times.map(([from]) => from)),
    toMs: times.length === 0 ? undefined : Math.max(...times.map(([, to]) => to)),
    bots: total(found, 'bots'),
    mixedUnits: total(
      found.filter(({ mixed }) => mixed),
      'units',
    ),
  };
}
