/** The report on one experiment: events -> rollup -> estimates -> effects and checks. The same events give the same bytes. */
import type { ExperimentReport, MetricReport } from '../../shared/contract/experiments.ts';
import type { Experiment } from '../../shared/experiment.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { getExperiment } from '../serving-config/experiment-store.ts';
import { runChecks } from './checks/checks.ts';
import { estimateQuantity } from './estimators/quantity.ts';
import { compare } from './estimators/welch.ts';
import { METRICS, type Metric } from './metrics.ts';
import { type Rollup, rollUp } from './rollup.ts';

export interface ReportOptions {
  /** Confidence of the intervals, 0.5 to 0.9999; 0.95 unless given. */
  confidence?: number;
}

/** Reports on the experiment; throws `not_found` for an unknown key. */
export async function buildReport(
  db: Database,
  key: string,
  { confidence = 0.95 }: ReportOptions = {},
): Promise<ExperimentReport> {
  if (!(confidence >= 0.5 && confidence <= 0.9999))
    throw new HarnessError('bad_request', `confidence: expected 0.5 to 0.9999, got ${confidence}.`);
  const experiment = await getExperiment(db, key);
  return reportOn({
    experiment,
    rollup: await rollUp(db, key, METRICS),
    metrics: METRICS,
    confidence,
  });
}

/** The report from sufficient statistics. Arms come in the order of the definition, then any that it does not have. */
export function reportOn({
  experiment,
  rollup,
  metrics,
  confidence,
}: {
  experiment: Experiment;
  rollup: Rollup;
  metrics: readonly Metric[];
  confidence: number;
}): ExperimentReport {
  const weights = new Map(experiment.arms.map(({ key, weight }) => [key, weight]));
  const strangers = [...rollup.arms.keys()].filter((arm) => !weights.has(arm)).sort();
  const arms = [...weights.keys(), ...strangers];
  const units = (arm: string) => rollup.arms.get(arm)?.units ?? 0;
  return {
    experiment,
    confidence,
    from: rollup.fromMs === undefined ? null : new Date(rollup.fromMs).toISOString(),
    to: rollup.toMs === undefined ? null : new Date(rollup.toMs).toISOString(),
    arms: arms.map((arm) => ({ arm, units: units(arm), queries: rollup.arms.get(arm)?.queries ?? 0 })),
    excluded: { bots: rollup.bots, mixedUnits: rollup.mixedUnits },
    metrics: metrics.map((metric) => reportMetric(metric, arms)),
    checks: runChecks({
      experiment,
      arms: arms.map((arm) => ({ arm, weight: weights.get(arm) ?? 0, units: units(arm) })),
    }),
  };

  function reportMetric(metric: Metric, keys: readonly string[]): MetricReport {
    const control = estimateQuantity(rollup.arms.get(experiment.control), metric);
    return {
      metric: metric.key,
      title: metric.title,
      unit: metric.unit,
      direction: metric.direction,
      arms: keys.map((arm) => {
        const of = estimateQuantity(rollup.arms.get(arm), metric);
        return {
          arm,
          total: Number(rollup.arms.get(arm)?.sum(metric.numerator) ?? 0n),
          value: of?.value ?? null,
          standardError: of?.variance === undefined ? null : Math.sqrt(of.variance),
          effect: arm === experiment.control ? null : (compare(control, of, confidence) ?? null),
        };
      }),
    };
  }
}
