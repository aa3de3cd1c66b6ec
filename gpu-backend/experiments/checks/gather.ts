/**
 * The evidence of the trust checks, from the rollups where every unit counts and from the rows of a sample of units where a
 * rate is enough. The sample is the units with the smallest hashes, so that it is the same in whatever order events came.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type Experiment, INTERLEAVED } from '../../../shared/experiment.ts';
import { type Database, rows } from '../../db/connect.ts';
import {
  experiments,
  experimentUnitDays,
  experimentUnits,
  exposures,
  impressions,
  missingExposures,
} from '../../db/schema.ts';
import { readArrivals } from '../arm-sums.ts';
import type { Rollup } from '../rollup.ts';
import { SERVED, STRATUM } from '../strata.ts';
import { sampledQueries, sampledUnits } from '../unit-sample.ts';
import { HEAVY_QUERIES } from './automation.ts';
import type { ArmCount, Arrivals, Automation, Compared, Evidence, Loss, SampledUnit, Segment } from './evidence.ts';
import { watermark } from './late-events.ts';

/** Everything that the checks ask about an experiment whose events are rolled up. `rolling` is read beside it. */
export async function gatherEvidence(
  db: Database,
  experiment: Experiment,
  rolling: Promise<Rollup>,
): Promise<Evidence> {
  const { key } = experiment;
  const [rollup, arrivals, unusual, missing] = await Promise.all([
    rolling,
    arrivalsOf(db, key),
    readUnusual(db, key),
    readMissing(db, key),
  ]);
  const arms = armCounts(experiment, rollup);
  const automation = automationOf(unusual, { arms, rollup });
  const loss = lossOf(missing, { arms, rollup });
  const sample = await sampleOf(db, experiment, rollup);
  const { fromMs, toMs, mixedUnits } = rollup;
  const [segments, compared] = [segmentsOf(rollup), comparedOf(arms, rollup)];
  return { experiment, arms, fromMs, toMs, mixedUnits, arrivals, segments, automation, loss, compared, sample };
}

function comparedOf(arms: readonly ArmCount[], { compared: { triggered, rest } }: Rollup): Compared[] {
  if (triggered.size + rest.size === 0) return [];
  const units = (of: ReadonlyMap<string, { units: number }>, arm: string) => of.get(arm)?.units ?? 0;
  return arms
    .filter(({ weight }) => weight > 0)
    .map(({ arm }) => ({ arm, triggered: units(triggered, arm), rest: units(rest, arm) }));
}

/** Arms in the order of the definition, then any that it does not have. An interleaving shows its units both arms at once. */
function armCounts({ kind, arms }: Experiment, rollup: Rollup): ArmCount[] {
  const weights = new Map(
    kind === 'interleaving' ? [[INTERLEAVED, 1]] : arms.map(({ key, weight }) => [key, weight] as const),
  );
  const strangers = [...rollup.arms.keys()].filter((arm) => !weights.has(arm)).sort();
  return [...weights.keys(), ...strangers].map((arm) => ({
    arm,
    weight: weights.get(arm) ?? 0,
    units: rollup.arms.get(arm)?.units ?? 0,
  }));
}

async function arrivalsOf(db: Database, key: string): Promise<Arrivals[]> {
  return [...Map.groupBy(await readArrivals(db, key), ({ day }) => day)]
    .map(([day, group]) => ({ day, units: Object.fromEntries(group.map(({ arm, units }) => [arm, units])) }))
    .sort((a, b) => (a.day < b.day ? -1 : 1));
}

function segmentsOf({ places }: Rollup): Segment[] {
  const valuesOf = ({ stratum, served }: Rollup['places'][number]) => [...stratum.split(' '), ...served.split(' ')];
  return [...STRATUM, ...SERVED].flatMap((dimension, at) =>
    [...Map.groupBy(places, (place) => valuesOf(place)[at]!)]
      .filter(([value]) => value !== '')
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([value, group]) => ({ dimension, value, units: unitsByArm(group) })),
  );
}

function unitsByArm(group: readonly { arm: string; units: number }[]): Record<string, number> {
  const units: Record<string, number> = {};
  for (const { arm, units: n } of group) units[arm] = (units[arm] ?? 0) + n;
  return units;
}

interface Known {
  arms: readonly ArmCount[];
  rollup: Rollup;
}

interface Unusual {
  arm: string;
  bot_units: number;
  heavy_units: number;
  heavy_queries: number;
}

/** By arm: units with queries of bots, and with days that are too busy for a person. */
function readUnusual(db: Database, key: string): Promise<Unusual[]> {
  // a unit with such a day has as much over all days, and there are fewer units than days
  return rows<Unusual>(
    db,
    sql`select days.arm, count(distinct days.unit_id) filter (where days.bots > 0)::int as bot_units,
        count(distinct days.unit_id) filter (where days.queries >= ${HEAVY_QUERIES})::int as heavy_units,
        coalesce(sum(days.queries) filter (where days.queries >= ${HEAVY_QUERIES}), 0)::float8 as heavy_queries
      from ${experimentUnits} units join ${experimentUnitDays} days using (experiment, unit_id)
      where units.experiment = ${key} and (units.bots > 0 or units.queries >= ${HEAVY_QUERIES})
        and (days.bots > 0 or days.queries >= ${HEAVY_QUERIES}) group by 1`,
  );
}

function automationOf(unusual: readonly Unusual[], { arms, rollup }: Known): Automation[] {
  const of = new Map(unusual.map((row) => [row.arm, row]));
  return arms
    .filter(({ weight }) => weight > 0)
    .map(({ arm }) => ({
      arm,
      botUnits: of.get(arm)?.bot_units ?? 0,
      heavyUnits: of.get(arm)?.heavy_units ?? 0,
      heavyQueries: of.get(arm)?.heavy_queries ?? 0,
      queries: rollup.arms.get(arm)?.queries ?? 0,
    }));
}

interface Missing {
  arm: string;
  missing: number;
}

/** By arm: exposures that the edge issued and that are no rows. */
function readMissing(db: Database, key: string): Promise<Missing[]> {
  return rows<Missing>(
    db,
    sql`select ${missingExposures.arm} as arm, count(*)::int as missing from ${missingExposures}
      where ${missingExposures.experiment} = ${key}
        and not exists (select from ${impressions} where ${impressions.id} = ${missingExposures.impressionId})
      group by 1`,
  );
}

function lossOf(found: readonly Missing[], { arms, rollup }: Known): Loss[] {
  const of = new Map(found.map(({ arm, missing }) => [arm, missing]));
  return arms
    .filter(({ weight }) => weight > 0)
    .map(({ arm }) => ({ arm, stored: rollup.arms.get(arm)?.queries ?? 0, missing: of.get(arm) ?? 0 }));
}

/** The sample with what a holdout should have kept its units out of, and which clicks may still convert. */
async function sampleOf(db: Database, experiment: Experiment, { sample, toMs = 0 }: Rollup): Promise<SampledUnit[]> {
  const leak = leaked(experiment);
  const found =
    leak === undefined
      ? []
      : await rows<{ unit_id: string; leaks: number }>(
          db,
          sql`select picked.unit_id, count(*)::float8 as leaks from (${sampledUnits(experiment.key)}) picked
              ${sampledQueries(experiment.key)} where ${leak} group by 1`,
        );
  const leaks = new Map(found.map((row) => [row.unit_id, row.leaks]));
  const { conversionsMs } = watermark(toMs);
  return sample.map(({ unitId, clickedMs, ...unit }) => ({
    ...unit,
    openClicks: clickedMs.filter((ms) => ms > conversionsMs).length,
    leaks: leaks.get(unitId) ?? 0,
  }));
}

/** Whether a query of a held-out unit took part in another experiment, of a layer that is held; nothing without holdouts. */
function leaked({ key, arms }: Experiment): SQL | undefined {
  const held = arms.flatMap(({ key: arm, holdout }) =>
    holdout === undefined
      ? []
      : [
          sql`${exposures.arm} = ${arm} and ${
            holdout === 'all'
              ? sql`true`
              : sql`other.layer in (${sql.join(
                  holdout.map((layer) => sql`${layer}`),
                  sql`, `,
                )})`
          }`,
        ],
  );
  if (held.length === 0) return undefined;
  return sql`exists (select from ${exposures} other join ${experiments} on ${experiments.key} = other.experiment
    where other.impression_id = ${exposures.impressionId} and other.experiment <> ${key} and (${sql.join(held, sql` or `)})
      and not exists (select from jsonb_array_elements(${experiments.definition} -> 'arms') each where each.value ? 'holdout'))`;
}
