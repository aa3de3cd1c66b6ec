/** The report as aligned text: verdicts, arms side by side, each arm's difference to control with its interval, checks. */

import { DECISIONS, guardrailCells } from '../gpu-backend/experiments/verdict-wording.ts';
import {
  difference,
  excluded,
  finding,
  interleavingCells,
  interval,
  period,
  pValue,
  sentence,
  totals,
  triggeredCells,
  value,
} from '../gpu-backend/experiments/wording.ts';
import type { DetailedReport } from '../shared/contract/report-detail.ts';

const WEIGHT = { ok: 'ok', unknown: 'too little to tell', warning: 'WARNING', alarm: 'WRONG' } as const;
const MARK = { better: '✓', worse: '✗', changed: '*', open: '' } as const;

/** Rows of equal length as text: the first column to the left, the others to the right. */
function align(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('   ')
      .trimEnd(),
  );
}

/** The whole report, without a final newline. */
export function reportTable(report: DetailedReport): string {
  const { experiment, metrics, confidence } = report;
  const arms = report.arms.map(({ arm }) => arm);
  const control = arms.indexOf(experiment.control);
  const lines = [
    `${experiment.key} (${experiment.status}), ${period(report)}`,
    ...(experiment.description === '' ? [] : [experiment.description]),
    ...report.verdicts.map(
      ({ arm, decision, reason, rule }) => `${arm}: ${DECISIONS[decision].toUpperCase()}. ${reason} [${rule}]`,
    ),
    '',
    ...align([['', ...arms], ...totals(report).map(({ title, cells }) => [title, ...cells])]),
  ];
  const anytime = (metric: string, arm: string) =>
    report.anytime.find((each) => each.metric === metric && each.arm === arm)?.effect ?? null;
  const level = `${Number((confidence * 100).toFixed(2))} % interval`;
  if (report.interleaving !== undefined) {
    const { heading, rows } = interleavingCells(report.interleaving);
    lines.push('', heading, ...align([['', 'difference', level, 'p'], ...rows]));
  }
  for (const [at, arm] of arms.entries()) {
    if (at === control || control < 0) continue;
    lines.push(
      '',
      ...align([
        ['', experiment.control, arm, 'difference', level, 'at any look', 'p', ''],
        ...metrics.map((metric) => {
          const { unit, title } = metric;
          const { value: own, effect } = metric.arms[at]!;
          const shown = [value(unit, metric.arms[control]!.value), value(unit, own)];
          return [
            title,
            ...shown,
            difference(unit, effect),
            interval(unit, effect),
            interval(unit, anytime(metric.metric, arm)),
            pValue(effect),
            MARK[finding(metric, effect)],
          ];
        }),
      ]),
    );
  }
  for (const { arm } of report.triggered === undefined ? [] : report.verdicts) {
    const { heading, rows } = triggeredCells(report, { found: report.triggered!, arm });
    lines.push('', heading, ...align([[`${arm}, ${level}`, 'all units', 'diluted', 'among triggered'], ...rows]));
  }
  for (const { arm, guardrails } of report.verdicts) {
    const rows = guardrails.map((guardrail) => [
      ...guardrailCells(guardrail, metrics.find(({ metric }) => metric === guardrail.metric)?.unit ?? 'count'),
    ]);
    if (rows.length > 0)
      lines.push('', ...align([[`Guardrails, ${arm}`, 'difference', 'at any look', 'may lose', 'state'], ...rows]));
  }
  lines.push('', '✓ better, ✗ worse, * changed: the interval excludes 0. Money is in the currency of the account.');
  for (const found of report.checks) lines.push(`${found.title}: ${WEIGHT[found.severity]}. ${sentence(found)}`);
  return [...lines, excluded(report)].join('\n');
}
