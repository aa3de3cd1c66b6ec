/** The report on one experiment: events -> rollup -> estimates -> effects and checks. The same events give the same bytes. */
import type { ExperimentReport, MetricReport } from '../../shared/contract/experiments.ts';
import type { Experiment } from '../../shared/experiment.ts';
import { isSum, type Metric } from '../../shared/metric.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { getExperiment } from '../serving-config/experiment-store.ts';
import { type AdjustedMetric, adjustMetric } from './adjustment.ts';
import { runChecks } from './checks/checks.ts';
import type { Evidence } from './checks/evidence.ts';
import { gatherEvidence } from './checks/gather.ts';
import { columnsOf, nameOf } from './columns.ts';
import { draftedSlots } from './designs/interleaved-pages.ts';
import { readInterleaving } from './designs/interleaving.ts';
import { comparePair, type Pair, readPairs } from './designs/switchback-pairs.ts';
import { posterior } from './estimators/bayes.ts';
import { benjaminiHochberg, holm } from './estimators/multiple.ts';
import { compareAnytime } from './estimators/sequence.ts';
import { compare } from './estimators/welch.ts';
import { metricsOf } from './metrics.ts';
import { estimateMetric, type Rollup, readRollup } from './rollup.ts';
import { advance } from './rollup-advance.ts';
import { triggeredEffects } from './triggered-effects.ts';

export interface ReportOptions {
  /** Confidence of the intervals, 0.5 to 0.9999; that of the experiment's rules unless given, and 0.95 without. */
  confidence?: number;
}

/** One database, by two handles: what the metrics ask is told from what the checks ask beside it. */
export interface ReportSources {
  forMetrics: Database;
  forChecks: Database;
}

/** The report, and what it is made of; throws `not_found` for an unknown key. */
export async function readReport(key: string, { forMetrics, forChecks, ...options }: ReportOptions & ReportSources) {
  const { experiment, confidence } = await asked(forMetrics, key, options);
  const metrics = metricsOf(experiment);
  await advance(forMetrics);
  const rolling = readRollup(forMetrics, key, metrics);
  const [rollup, evidence] = await Promise.all([rolling, gatherEvidence(forChecks, experiment, rolling)]);
  const pairs = await readPairs(forMetrics, experiment, { metrics: metrics.filter(isSum), rollup });
  const report: ExperimentReport = {
    ...reportOn({ rollup, evidence, metrics, confidence, pairs }),
    ...(await reportInterleaving(forMetrics, experiment, confidence)),
  };
  return { experiment, confidence, metrics, rollup, pairs, report };
}

/** The experiment, and the confidence asked for or that of its rules; throws `bad_request` for one that is none, `not_found`. */
async function asked(db: Database, key: string, { confidence }: ReportOptions) {
  if (confidence !== undefined && !(confidence >= 0.5 && confidence <= 0.9999))
    throw new HarnessError('bad_request', `confidence: expected 0.5 to 0.9999, got ${confidence}.`);
  const experiment = await getExperiment(db, key);
  return { experiment, confidence: confidence ?? 1 - (experiment.rules?.alpha ?? 0.05) };
}

/** What an interleaving shows; nothing for other experiments. */
async function reportInterleaving(
  db: Database,
  { key, kind, control }: Experiment,
  confidence: number,
): Promise<Pick<ExperimentReport, 'interleaving'>> {
  if (kind !== 'interleaving') return {};
  return { interleaving: await readInterleaving(db, draftedSlots(key), { control, confidence }) };
}

/** The report from sufficient statistics. Arms come in the order of the evidence. */
function reportOn({
  rollup,
  evidence,
  metrics,
  confidence,
  pairs,
}: {
  rollup: Rollup;
  evidence: Evidence;
  metrics: readonly Metric[];
  confidence: number;
  /** Of a switchback, whose arms are compared block by block. */
  pairs?: ReadonlyMap<string, Pair> | undefined;
}): ExperimentReport {
  const { experiment } = evidence;
  const triggered = triggeredEffects(rollup, {
    metrics: metrics.filter(isSum),
    control: experiment.control,
    arms: evidence.arms.map(({ arm }) => arm),
    confidence,
  });
  return {
    experiment,
    confidence,
    from: rollup.fromMs === undefined ? null : new Date(rollup.fromMs).toISOString(),
    to: rollup.toMs === undefined ? null : new Date(rollup.toMs).toISOString(),
    arms: evidence.arms.map(({ arm, units }) => ({ arm, units, queries: rollup.arms.get(arm)?.queries ?? 0 })),
    excluded: { bots: rollup.bots, mixedUnits: rollup.mixedUnits },
    metrics: readTogether(metrics.map(reportMetric)),
    checks: runChecks(evidence),
    ...(triggered && { triggered }),
  };

  function reportMetric(metric: Metric): MetricReport {
    const pair = pairs?.get(metric.key);
    const adjusted = isSum(metric) && pairs === undefined ? adjustMetric(rollup, metric) : undefined;
    const control = pair === undefined ? estimateMetric(rollup, metric, experiment.control) : pair.control;
    return {
      metric: metric.key,
      title: metric.title,
      ...(isSum(metric) && metric.totalTitle && { totalTitle: metric.totalTitle }),
      unit: metric.unit,
      direction: metric.direction,
      arms: evidence.arms.map(({ arm }) => {
        const of =
          pair === undefined
            ? estimateMetric(rollup, metric, arm)
            : arm === experiment.control
              ? pair.control
              : pair.treatment;
        const values = {
          arm,
          total: isSum(metric)
            ? Number(rollup.arms.get(arm)?.sum(nameOf(columnsOf(metric)[0]!)) ?? 0n)
            : (of?.units ?? 0),
          value: of?.value ?? null,
          standardError: of?.variance === undefined ? null : Math.sqrt(of.variance),
        };
        if (arm === experiment.control) return { ...values, effect: null };
        if (pair !== undefined) return { ...values, effect: comparePair(pair, confidence) ?? null };
        const effect = compare(control, of, confidence) ?? null;
        const belief = posterior(control, of, { confidence });
        return {
          ...values,
          effect,
          ...(adjusted && { adjusted: adjustedEffect(adjusted, arm) }),
          ...(belief && { posterior: belief }),
        };
      }),
    };
  }

  function adjustedEffect({ by, estimates, varianceShare }: AdjustedMetric, arm: string) {
    const [base, own] = [estimates.get(experiment.control), estimates.get(arm)];
    const effect = compare(base, own, confidence);
    return effect && { by, effect, anytime: compareAnytime(base, own, { confidence }) ?? null, varianceShare };
  }
}

/** Adds, for each arm, the p-values of the metrics that have a better and a worse, read together. */
function readTogether(metrics: readonly MetricReport[]): MetricReport[] {
  const adjusted = new Map<object, { holm: number; benjaminiHochberg: number }>();
  for (const at of metrics[0]?.arms.keys() ?? []) {
    const tested = metrics.flatMap(({ direction, arms }) =>
      direction === 'none' || !arms[at]?.effect ? [] : { arm: arms[at], pValue: arms[at].effect.pValue },
    );
    const pValues = tested.map(({ pValue }) => pValue);
    const [strict, lenient] = [holm(pValues), benjaminiHochberg(pValues)];
    for (const [i, { arm }] of tested.entries())
      adjusted.set(arm, { holm: strict[i]!, benjaminiHochberg: lenient[i]! });
  }
  return metrics.map((metric) => ({
    ...metric,
    arms: metric.arms.map((arm) => (adjusted.has(arm) ? { ...arm, together: adjusted.get(arm)! } : arm)),
  }));
}
