/**
 * Reports from rollups: how long a report over millions of impressions takes, beside DuckDB computing the same sums from the
 * raw rows in the same run (peers/rollups.py), and what keeping the rollups up costs. The sums must agree to the last digit.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { median } from 'simple-statistics';
import { type Database, openPostgres } from '../gpu-backend/db/connect.ts';
import { migrate } from '../gpu-backend/db/migrate.ts';
import { ingest } from '../gpu-backend/events/ingest.ts';
import { buildDetailedReport } from '../gpu-backend/experiments/detailed-report.ts';
import { METRICS } from '../gpu-backend/experiments/metrics.ts';
import { readReport } from '../gpu-backend/experiments/report.ts';
import { readRollup } from '../gpu-backend/experiments/rollup.ts';
import { advance } from '../gpu-backend/experiments/rollup-advance.ts';
import type { MeasureName } from '../shared/metric.ts';
import { startPostgresServer } from '../test/setup/postgres-server.ts';
import { sampleImpression } from '../test/setup/samples.ts';
import { EXPERIMENT, EXPORTS, fill } from './rollup-data.ts';
import { type Bench, bounded, type Row } from './row.ts';
import { sizeFrom } from './size.ts';

/** Overridden by HARNESS_BENCH_IMPRESSIONS. */
const IMPRESSIONS = { quick: 500_000, full: 10_000_000 };
/** Runs of which the median counts. */
const RUNS = 5;
const CORES = 2;

/** Sums that a report is made of, by arm: units, measures, and products of two of them. */
interface Sums {
  arms: Record<string, Record<string, string>>;
  bots: number;
  mixedUnits: number;
}

const PRODUCTS: [MeasureName, MeasureName][] = [
  ['revenue', 'revenue'],
  ['revenue', 'queries'],
  ['queries', 'queries'],
  ['shown', 'shown'],
  ['clicks', 'clicks'],
  ['clicks', 'shown'],
  ['covered', 'covered'],
  ['covered', 'queries'],
  ['shown', 'queries'],
  ['conversions', 'conversions'],
];
const MEASURES_READ: MeasureName[] = ['queries', 'covered', 'shown', 'clicks', 'revenue', 'conversions'];

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

async function medianSeconds(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) times.push(await seconds(work));
  return median(times);
}

async function ourSums(db: Database): Promise<Sums> {
  const { arms, bots, mixedUnits } = await readRollup(db, EXPERIMENT.key, METRICS);
  return {
    arms: Object.fromEntries(
      [...arms.values()].map((arm) => [
        arm.arm,
        {
          units: String(arm.units),
          ...Object.fromEntries(MEASURES_READ.map((name) => [name, String(arm.sum(name))])),
          ...Object.fromEntries(PRODUCTS.map(([a, b]) => [`${a}*${b}`, String(arm.product(a, b))])),
        },
      ]),
    ),
    bots,
    mixedUnits,
  };
}

const sorted = (value: unknown): unknown =>
  value !== null && typeof value === 'object'
    ? Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, child]) => [key, sorted(child)]),
      )
    : value;

/** DuckDB's answer and its median time; `undefined`, and it is said, where there is no DuckDB. */
async function peer(db: Database, say: (line: string) => void): Promise<{ seconds: number; sums: Sums } | undefined> {
  const python = process.env.HARNESS_PEERS_PYTHON;
  if (!python) {
    say('DuckDB is not measured: set HARNESS_PEERS_PYTHON to a python with duckdb (pip install duckdb)');
    return undefined;
  }
  const dir = mkdtempSync(join(tmpdir(), 'harness-export-'));
  try {
    chmodSync(dir, 0o777); // the server writes, under root as another user
    for (const [table, select] of Object.entries(EXPORTS))
      await db.execute(sql.raw(`copy (${select}) to '${join(dir, `${table}.csv`)}' with (format csv, header)`));
    const answer = execFileSync(
      python,
      [join(import.meta.dirname, 'peers/rollups.py'), dir, EXPERIMENT.key, String(CORES), String(RUNS)],
      { encoding: 'utf8', maxBuffer: 1 << 24 },
    );
    const { seconds: all, ...sums } = JSON.parse(answer) as { seconds: number[] } & Sums;
    return { seconds: median(all), sums };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The rows of `bench -- experiments` that are about speed. */
export const rollupRows: Bench = async ({ quick, say }) => {
  const impressions = sizeFrom('HARNESS_BENCH_IMPRESSIONS', quick ? IMPRESSIONS.quick : IMPRESSIONS.full);
  const millions = `${impressions / 1e6} M impressions`;
  const server = await startPostgresServer();
  try {
    const connection = await openPostgres(await server.createDatabase());
    const { db } = connection;
    await migrate(db);
    say(`filling a Postgres server with ${millions}`);
    await fill(db, impressions);
    say('rolling up');
    const filled = await seconds(() => advance(db));
    for (const table of ['experiment_units', 'experiment_unit_days', 'experiment_arm_days'])
      await db.execute(sql.raw(`vacuum analyze ${table}`));

    say('reporting');
    const effects = await medianSeconds(() => readReport(EXPERIMENT.key, { forMetrics: db, forChecks: db }));
    const summing = await medianSeconds(() => readRollup(db, EXPERIMENT.key, METRICS));
    const served = await medianSeconds(() => buildDetailedReport(db, EXPERIMENT.key));
    const sums = await ourSums(db);
    const theirs = await peer(db, say);
    if (theirs !== undefined && JSON.stringify(sorted(theirs.sums)) !== JSON.stringify(sorted(sums)))
      throw new Error(`DuckDB got other sums: ${JSON.stringify(theirs.sums)} against ${JSON.stringify(sums)}`);

    const batch = (n: number) =>
      Array.from({ length: 1_000 }, (_, i) =>
        sampleImpression({
          id: `fresh-${n}-${i}`,
          unitId: `fresh-${i}`,
          assignments: [{ experiment: EXPERIMENT.key, layer: EXPERIMENT.layer, arm: i % 2 ? 'control' : 'treatment' }],
        }),
      );
    let batches = 0;
    const added: number[] = [];
    while (added.length < RUNS) {
      await ingest(batch(batches++), { db });
      added.push(await seconds(() => advance(db)));
    }
    await connection.close();

    const rows: Row[] = [
      bounded(`report over ${millions}, from rollups`, served, 's', ['<=', 2]),
      { metric: 'its effects and checks alone', value: effects, unit: 's' },
      { metric: 'cores of this machine', value: availableParallelism(), unit: 'cores' },
      ...(theirs === undefined
        ? []
        : [
            { metric: 'its sums, from rollups', value: summing, unit: 's' },
            { metric: `the same sums by DuckDB from the raw rows, ${CORES} threads`, value: theirs.seconds, unit: 's' },
            bounded('sums from rollups over DuckDB from raw rows', summing / theirs.seconds, 'x', ['<=', 1.5]),
          ]),
      { metric: `rollups of ${millions} made from nothing`, value: impressions / filled, unit: 'impressions/s' },
      { metric: 'rollups brought up by 1,000 impressions', value: median(added) * 1000, unit: 'ms' },
    ];
    return { rows, detail: { sums } };
  } finally {
    await server.stop();
  }
};
