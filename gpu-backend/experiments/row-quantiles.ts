/** Metrics that are quantiles of rows: answer times of the sampled units' queries, with the unit as cluster. */
import { sql } from 'drizzle-orm';
import type { QuantileMetric } from '../../shared/metric.ts';
import { type Database, rows } from '../db/connect.ts';
import { exposures, impressions } from '../db/schema.ts';
import type { Estimate } from './estimators/estimate.ts';
import { clusteredQuantile } from './estimators/quantile.ts';
import { rowsByUnit } from './estimators/rows-by-unit.ts';
import { sampledUnits } from './unit-sample.ts';

/** Estimates by metric, by arm; bots' queries left out. */
export type RowQuantiles = ReadonlyMap<string, ReadonlyMap<string, Estimate>>;

type Unit = { arm: string } & Record<QuantileMetric['of'], number[]>;

export async function readRowQuantiles(
  db: Database,
  experiment: string,
  metrics: readonly QuantileMetric[],
): Promise<RowQuantiles> {
  if (metrics.length === 0) return new Map();
  const times = [...new Set(metrics.map(({ of }) => of))].map(
    (of) => sql`json_agg(${impressions[of]}) as ${sql.identifier(of)}`,
  );
  const units = await rows<Unit>(
    db,
    sql`select picked.arm as arm, ${sql.join(times, sql`, `)} from (${sampledUnits(experiment)}) picked
      join ${exposures} on ${exposures.experiment} = ${experiment} and ${exposures.unitId} = picked.unit_id
      join ${impressions} on ${impressions.id} = ${exposures.impressionId} and not ${impressions.bot}
      group by picked.unit_id, picked.arm`,
  );
  const arms = Map.groupBy(units, ({ arm }) => arm);
  return new Map(
    metrics.map(({ key, of, quantile }) => [
      key,
      new Map(
        [...arms].flatMap(([arm, own]) => {
          const found = clusteredQuantile(rowsByUnit(own.map((unit) => unit[of])), quantile);
          return found === undefined ? [] : [[arm, found] as const];
        }),
      ),
    ]),
  );
}
