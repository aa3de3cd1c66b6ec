/** Effects within segments: units told apart by market, device and consent of their first query, from the strata of the rollup. Pure. */
import type { SegmentEffect } from '../../shared/contract/report-detail.ts';
import type { SumMetric } from '../../shared/metric.ts';
import { columnsOf, quantityOf } from './columns.ts';
import { holm } from './estimators/multiple.ts';
import { estimateQuantity, type Moments, pooled } from './estimators/quantity.ts';
import { compare } from './estimators/welch.ts';
import type { Rollup } from './rollup.ts';
import { STRATUM } from './strata.ts';

export interface SegmentOptions {
  metrics: readonly SumMetric[];
  control: string;
  arms: readonly string[];
  confidence: number;
}

interface Segment {
  dimension: string;
  value: string;
  /** Moments by arm of the strata that it is made of. */
  strata: ReadonlyMap<string, Moments>[];
}

/** By metric, arm, dimension and value; the p-values of a metric and arm are corrected for the number of segments. */
export function segmentEffects(rollup: Pick<Rollup, 'strata'>, options: SegmentOptions): SegmentEffect[] {
  const { metrics, control, arms, confidence } = options;
  const segments = segmentsOf(rollup);
  const inArm = ({ strata }: Segment, arm: string) => {
    const parts = strata.flatMap((stratum) => stratum.get(arm) ?? []);
    return parts.length === 0 ? undefined : pooled(parts);
  };
  return metrics.flatMap((metric) => {
    const quantity = quantityOf(columnsOf(metric), metric.scale);
    return arms
      .filter((arm) => arm !== control)
      .flatMap((arm) => {
        const found = segments.map((segment) => {
          const [base, own] = [inArm(segment, control), inArm(segment, arm)];
          const effect = compare(estimateQuantity(base, quantity), estimateQuantity(own, quantity), confidence) ?? null;
          const units = (base?.units ?? 0) + (own?.units ?? 0);
          return { dimension: segment.dimension, value: segment.value, arm, metric: metric.key, units, effect };
        });
        const tested = found.filter(({ effect }) => effect !== null);
        const adjusted = holm(tested.map(({ effect }) => effect!.pValue));
        return found.map((segment) => {
          const at = tested.indexOf(segment);
          return { ...segment, adjustedPValue: at < 0 ? null : adjusted[at]! };
        });
      });
  });
}

/** The values of each dimension that units have; an unknown value is not a segment, nor is one that all units have. */
function segmentsOf({ strata }: Pick<Rollup, 'strata'>): Segment[] {
  const cells = [...strata].map(([key, byArm]) => ({ place: key.split(' '), byArm }));
  return STRATUM.flatMap((dimension, at) =>
    [...Map.groupBy(cells, ({ place }) => place[at] ?? '')]
      .filter(([value], _, all) => value !== '' && all.length > 1)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([value, group]) => ({ dimension, value, strata: group.map(({ byArm }) => byArm) })),
  );
}
