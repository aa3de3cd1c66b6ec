/** Metrics that are quantiles of rows: answer times of the sampled units' queries, with the unit as cluster. Pure. */
import type { QuantileMetric } from '../../shared/metric.ts';
import type { Estimate } from './estimators/estimate.ts';
import { clusteredQuantile } from './estimators/quantile.ts';
import { rowsByUnit } from './estimators/rows-by-unit.ts';
import type { UnitRecord } from './unit-sample.ts';

/** Estimates by metric, by arm; bots' queries left out. */
export type RowQuantiles = ReadonlyMap<string, ReadonlyMap<string, Estimate>>;

export function rowQuantiles(sample: readonly UnitRecord[], metrics: readonly QuantileMetric[]): RowQuantiles {
  const arms = Map.groupBy(sample, ({ arm }) => arm);
  return new Map(
    metrics.map(({ key, of, quantile }) => [
      key,
      new Map(
        [...arms].flatMap(([arm, own]) => {
          const found = clusteredQuantile(rowsByUnit(own.map((unit) => unit[of]!)), quantile);
          return found === undefined ? [] : [[arm, found] as const];
        }),
      ),
    ]),
  );
}
