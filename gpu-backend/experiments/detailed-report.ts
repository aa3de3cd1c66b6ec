/** The report with verdicts, effects over time and by segment, and the SQL of each part. The same events give the same bytes. */
import type { ExperimentReport } from '../../shared/contract/experiments.ts';
import type { DetailedReport } from '../../shared/contract/report-detail.ts';
import type { Metric } from '../../shared/metric.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { recordSql } from '../db/recorded-sql.ts';
import { getExperiment } from '../serving-config/experiment-store.ts';
import { gatherEvidence } from './checks/gather.ts';
import { columnsOf, quantityOf } from './columns.ts';
import { estimateQuantity } from './estimators/quantity.ts';
import { compareAnytime } from './estimators/sequence.ts';
import { metricsOf } from './metrics.ts';
import { type ReportOptions, reportOn } from './report.ts';
import { rollUp } from './rollup.ts';
import { segmentEffects } from './segments.ts';
import { effectTrend } from './trend.ts';
import { DECISION_RULES, verdictOn } from './verdict.ts';

/** The metrics that verdicts are made of, in the order of the rules; effects over time and by segment are of these. */
function headlines(metrics: readonly Metric[]): Metric[] {
  const keys = [DECISION_RULES.primary, ...DECISION_RULES.guardrails.map(({ metric }) => metric)];
  return keys.flatMap((key) => metrics.find((metric) => metric.key === key) ?? []);
}

/** Whether all units of the arms, of which there are enough, have the same value. */
function isConstant({ metrics }: ExperimentReport, { key, arms }: { key: string; arms: readonly string[] }): boolean {
  const compared = metrics.find(({ metric }) => metric === key)!.arms.filter(({ arm }) => arms.includes(arm));
  return compared.every(({ value, standardError }) => standardError === 0 && value === compared[0]!.value);
}

/** What an experiment comes to, without its history: the report, and a verdict on each arm. Throws `not_found`. */
export async function judge(db: Database, key: string, options: ReportOptions = {}) {
  return judged(key, { ...options, forMetrics: db, forChecks: db });
}

async function judged(
  key: string,
  { forMetrics, forChecks, confidence = 0.95 }: ReportOptions & { forMetrics: Database; forChecks: Database },
) {
  if (!(confidence >= 0.5 && confidence <= 0.9999))
    throw new HarnessError('bad_request', `confidence: expected 0.5 to 0.9999, got ${confidence}.`);
  const experiment = await getExperiment(forMetrics, key);
  const metrics = metricsOf(experiment);
  const rollup = await rollUp(forMetrics, key, metrics);
  const evidence = await gatherEvidence(forChecks, experiment, rollup);
  const report = reportOn({ rollup, evidence, metrics, confidence });
  const { control } = experiment;
  const arms = report.arms.map(({ arm }) => arm);
  const treatments = arms.filter((arm) => arm !== control);
  const anytime = metrics.flatMap((metric) => {
    const quantity = quantityOf(columnsOf(metric), metric.scale);
    const of = (arm: string) => estimateQuantity(rollup.arms.get(arm), quantity);
    return treatments.map((arm) => ({
      metric: metric.key,
      arm,
      effect: compareAnytime(of(control), of(arm), { confidence }) ?? null,
    }));
  });
  const verdicts = treatments.map((arm) =>
    verdictOn({
      arm,
      checks: report.checks,
      rules: DECISION_RULES,
      metrics,
      effectOf: (metric) => anytime.find((each) => each.metric === metric && each.arm === arm)?.effect ?? null,
      isConstant: (key) => isConstant(report, { key, arms: [control, arm] }),
    }),
  );
  return { report, rollup, verdicts, anytime, options: { metrics: headlines(metrics), control, arms, confidence } };
}

/** Reports on the experiment; throws `not_found` for an unknown key. */
export async function buildDetailedReport(
  db: Database,
  key: string,
  options: ReportOptions = {},
): Promise<DetailedReport> {
  const [forMetrics, forChecks, forTrend] = [recordSql(db), recordSql(db), recordSql(db)];
  const found = await judged(key, { ...options, forMetrics: forMetrics.db, forChecks: forChecks.db });
  return {
    ...found.report,
    verdicts: found.verdicts,
    anytime: found.anytime,
    trend: await effectTrend(forTrend.db, key, { ...found.options, rollup: found.rollup }),
    segments: segmentEffects(found.rollup, found.options),
    sql: {
      metrics: forMetrics.statements,
      checks: forChecks.statements,
      trend: forTrend.statements,
    },
  };
}
