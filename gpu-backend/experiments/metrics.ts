/**
 * Which metrics an experiment's report has: those of metrics.json, in which order reports show them, then the experiment's
 * own. Declarations (shared/metric.ts): rollup, estimators, report and pages work from them.
 */
import { type Metric, Metrics } from '../../shared/metric.ts';
import metrics from './metrics.json' with { type: 'json' };

/** The metrics of every experiment. */
export const METRICS: readonly Metric[] = Metrics.parse(metrics);

/** A declaration of the experiment's takes the place of one of the same key. */
export function metricsOf({ metrics: own = [] }: { metrics?: readonly Metric[] | undefined }): Metric[] {
  const keys = new Set(own.map(({ key }) => key));
  return [...METRICS.filter(({ key }) => !keys.has(key)), ...own];
}
