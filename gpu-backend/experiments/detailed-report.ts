/** The report with verdicts, effects over time and by segment, and the SQL of each part. The same events give the same bytes. */
import type { ExperimentReport } from '../../shared/contract/experiments.ts';
import type { DetailedReport } from '../../shared/contract/report-detail.ts';
import { isSum, type Metric, type SumMetric } from '../../shared/metric.ts';
import type { Database } from '../db/connect.ts';
import { recordSql } from '../db/recorded-sql.ts';
import { comparePairAnytime } from './designs/switchback-pairs.ts';
import { compareAnytime } from './estimators/sequence.ts';
import { type ReportOptions, type ReportSources, readReport } from './report.ts';
import { estimateMetric } from './rollup.ts';
import { segmentEffects } from './segments.ts';
import { effectTrend } from './trend.ts';
import { DECISION_RULES, type DecisionRules, verdictOn } from './verdict.ts';

/** The metrics that verdicts are made of, in the order of the rules; effects over time and by segment are of these. */
function headlines(metrics: readonly Metric[], { primary, guardrails }: DecisionRules): SumMetric[] {
  const keys = [primary, ...guardrails.map(({ metric }) => metric)];
  return keys.flatMap((key) => metrics.filter(isSum).find((metric) => metric.key === key) ?? []);
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

async function judged(key: string, options: ReportOptions & ReportSources) {
  const { experiment, confidence, metrics, rollup, pairs, report } = await readReport(key, options);
  const rules = experiment.rules ?? DECISION_RULES;
  const { control } = experiment;
  const arms = report.arms.map(({ arm }) => arm);
  // the units of an interleaving see both arms at once: there is no arm to judge
  const treatments = experiment.kind === 'interleaving' ? [] : arms.filter((arm) => arm !== control);
  const pairOf = ({ key: metric }: SumMetric) => {
    const pair = pairs?.get(metric);
    return pair && comparePairAnytime(pair, confidence);
  };
  const anytime = metrics.flatMap((metric) => {
    const of = (arm: string) => estimateMetric(rollup, metric, arm);
    return treatments.map((arm) => ({
      metric: metric.key,
      arm,
      // a sample of units changes between looks, so that no sequence holds for a quantile
      effect:
        (isSum(metric) &&
          (pairs === undefined ? compareAnytime(of(control), of(arm), { confidence }) : pairOf(metric))) ||
        null,
    }));
  });
  const verdicts = treatments.map((arm) =>
    verdictOn({
      arm,
      checks: report.checks,
      rules,
      metrics,
      effectOf: (metric) => anytime.find((each) => each.metric === metric && each.arm === arm)?.effect ?? null,
      isConstant: (key) => isConstant(report, { key, arms: [control, arm] }),
    }),
  );
  return {
    report,
    rollup,
    verdicts,
    anytime,
    // windows are no visitors: they have no segments, and blocks no running sums
    options: {
      metrics: pairs === undefined ? headlines(metrics, rules) : [],
      control,
      arms: [control, ...treatments],
      confidence,
    },
  };
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
