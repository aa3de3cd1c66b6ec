/** An arm against control: drawn, then in numbers; then the same within segments. */
import { html, raw } from 'hono/html';
import type { InterleavingReport, MetricReport, TriggeredReport } from '../../shared/contract/experiments.ts';
import type { DetailedReport } from '../../shared/contract/report-detail.ts';
import {
  difference,
  finding,
  interleavingCells,
  interval,
  NONE,
  printPValue,
  pValue,
  triggeredCells,
  value,
} from '../experiments/wording.ts';
import { chart, type Markup } from './drawing.ts';
import { forestPlot, metricRows, segmentRows } from './forest-plot.ts';
import { sqlLink } from './sql-section.ts';

/** An arm and its place in the report. */
export interface ArmAt {
  arm: string;
  at: number;
}

export const level = ({ confidence }: { confidence: number }) => `${Number((confidence * 100).toFixed(2))} %`;

/** Whether the numbers may be read. */
export const isTrusted = ({ checks }: Pick<DetailedReport, 'checks'>) =>
  checks.every(({ severity }) => severity !== 'alarm');

const FOREST = { wide: 940, narrow: 300 };

export function effects(report: DetailedReport, { arm, at }: ArmAt): Markup {
  const rows = metricRows(report, at);
  const trusted = isTrusted(report);
  return html`<section class="effects" ${trusted ? '' : raw('data-untrusted')}><h2>${arm} against ${report.experiment.control}${trusted ? '' : ': not to be read, see Health'} ${sqlLink('metrics')}</h2>
${
  rows.length > 0
    ? chart((width) => forestPlot(rows, { width }), FOREST)
    : html`<p class="quiet">Nothing to compare yet: differences need at least two units in both arms.</p>`
}
<div class="scroll"><table class="metrics"><thead><tr><th scope="col">Metric</th><th scope="col">${report.experiment.control}</th><th scope="col">${arm}</th><th scope="col">Difference</th><th scope="col">${level(report)} interval</th><th scope="col">At any look</th><th scope="col">p</th></tr></thead>
<tbody>${report.metrics.map((metric) => metricRow(report, { metric, at }))}</tbody></table></div>
${otherEstimates(report, at)}</section>`;
}

/** Two plans on one page: whose ads people click. */
export function interleaving(report: DetailedReport, found: InterleavingReport): Markup {
  const { heading, rows } = interleavingCells(found);
  return html`<section id="interleaving"><h2>Interleaved ${sqlLink('metrics')}</h2><p>${heading}.</p>
<div class="scroll"><table><thead><tr><th scope="col"></th><th scope="col">Difference</th><th scope="col">${level(report)} interval</th><th scope="col">p</th></tr></thead>
<tbody>${rows.map(([title, ...cells]) => html`<tr><th scope="row">${title}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div></section>`;
}

const share = (of: number | undefined) => (of === undefined ? NONE : `${(of * 100).toFixed(1)} %`);

/** The same effects, estimated otherwise: with less noise, with a prior, and with all metrics read together. */
function otherEstimates(report: DetailedReport, at: number): Markup {
  const rows = report.metrics.map(({ title, unit, arms }) => ({ title, unit, ...arms[at]! }));
  const by = rows.find(({ adjusted }) => adjusted !== undefined)?.adjusted?.by;
  const basis = by === undefined ? '' : by === 'before' ? ' by the days before' : ' by market, device and consent';
  return html`<details><summary>Adjusted, Bayesian, read together</summary><div class="scroll"><table class="ways"><thead><tr><th scope="col">Metric</th><th scope="col">Adjusted${basis}</th><th scope="col">${level(report)} interval</th><th scope="col">Variance left</th><th scope="col">Chance above 0</th><th scope="col">p, all metrics together (Holm)</th></tr></thead>
<tbody>${rows.map(
    ({ title, unit, adjusted, posterior, together }) =>
      html`<tr><th scope="row">${title}</th><td data-label="adjusted">${difference(unit, adjusted?.effect ?? null)}</td><td data-label="interval">${interval(unit, adjusted?.effect ?? null)}</td><td data-label="variance left">${share(adjusted?.varianceShare)}</td><td data-label="chance above 0">${share(posterior?.chancePositive)}</td><td data-label="p, all metrics together">${together === undefined ? NONE : printPValue(together.holm)}</td></tr>`,
  )}</tbody></table></div></details>`;
}

function metricRow(report: DetailedReport, { metric, at }: { metric: MetricReport; at: number }): Markup {
  const { control } = report.experiment;
  const own = metric.arms[at]!;
  const base = metric.arms.find(({ arm }) => arm === control)!;
  const tone = finding(metric, own.effect);
  const anytime = report.anytime.find((each) => each.metric === metric.metric && each.arm === own.arm)?.effect ?? null;
  return html`<tr><th scope="row">${metric.title}</th><td data-label="${control}">${value(metric.unit, base.value)}</td><td data-label="${own.arm}">${value(metric.unit, own.value)}</td><td data-label="difference" class="${tone}">${difference(metric.unit, own.effect)}</td><td data-label="interval">${interval(metric.unit, own.effect)}</td><td data-label="at any look">${interval(metric.unit, anytime)}</td><td data-label="p">${pValue(own.effect)}</td></tr>`;
}

const TRIGGERED = ['All units', 'Diluted', 'Among triggered'];

/** The effects on units that another arm would have treated differently: the same effects with less noise. */
export function triggered(report: DetailedReport, { found, arm }: { found: TriggeredReport; arm: string }): Markup {
  const { heading, rows } = triggeredCells(report, { found, arm });
  const trusted = isTrusted(report);
  return html`<section class="triggered" ${trusted ? '' : raw('data-untrusted')}><h2>Triggered, ${arm} against ${report.experiment.control} ${sqlLink('metrics')}</h2>
<p>${heading}. Diluted: the effect on everybody, through them alone.</p>
<div class="scroll"><table class="ways"><thead><tr><th scope="col">Metric</th>${TRIGGERED.map((way) => html`<th scope="col">${way}</th>`)}</tr></thead>
<tbody>${rows.map(([title, ...cells]) => html`<tr><th scope="row">${title}</th>${cells.map((cell, way) => html`<td data-label="${TRIGGERED[way]!}">${cell}</td>`)}</tr>`)}</tbody></table></div></section>`;
}

/** The primary metric's effect in each segment; nothing where units cannot be told apart. */
export function segments(report: DetailedReport, { arm }: ArmAt): Markup {
  const { primary } = report.verdicts.find((verdict) => verdict.arm === arm)!;
  const metric = report.metrics.find((each) => each.metric === primary);
  const found = report.segments.filter((each) => each.arm === arm && each.metric === primary);
  const rows = metric === undefined ? [] : segmentRows(metric, { segments: found, confidence: report.confidence });
  if (metric === undefined || rows.length === 0) return html``;
  const trusted = isTrusted(report);
  return html`<section class="segments" ${trusted ? '' : raw('data-untrusted')}><h2>${metric.title} by segment, ${arm} against ${report.experiment.control} ${sqlLink('metrics')}</h2>
${chart((width) => forestPlot(rows, { width }), FOREST)}
<p class="quiet">Units by the market, device and consent of their first query. Colour only where a difference stays after correction for ${found.length} segments (Holm).</p></section>`;
}
