/** The dashboard page: experiments, and the chosen one's health, effects, numbers and traffic. Pure; `html` escapes every value. */
import { html, raw } from 'hono/html';
import type { ExperimentReport, MetricReport } from '../../shared/contract/experiments.ts';
import type { Experiment } from '../../shared/experiment.ts';
import type { Timeline } from '../experiments/timeline.ts';
import {
  difference,
  excluded,
  finding,
  interval,
  period,
  pValue,
  sentence,
  totals,
  value,
} from '../experiments/wording.ts';
import { armColour, forestPlot, trafficChart } from './charts.ts';
import { STYLE } from './style.ts';

export interface DashboardView {
  experiments: readonly Pick<Experiment, 'key' | 'status'>[];
  /** The chosen experiment; absent where there is none to choose. */
  chosen?: { report: ExperimentReport; timeline: Timeline | undefined };
  /** What went wrong, instead of an experiment. */
  notice?: string;
  /** Seconds after which the page loads itself again. */
  refreshSeconds?: number;
}

type Markup = ReturnType<typeof html>;

/** The page as HTML that needs nothing else. */
export async function renderDashboard(view: DashboardView): Promise<string> {
  const { chosen, notice, refreshSeconds } = view;
  const key = chosen?.report.experiment.key;
  const here = key === undefined ? '/dashboard' : `/dashboard?experiment=${encodeURIComponent(key)}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${refreshSeconds === undefined ? '' : html`<meta http-equiv="refresh" content="${refreshSeconds}">`}
<link rel="icon" href="data:,">
<title>${key === undefined ? '' : `${key} · `}Harness experiments</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<header><strong>Harness experiments</strong><nav aria-label="Experiments">${view.experiments.map((each) => link(each, key))}</nav></header>
<main>
${notice === undefined ? '' : html`<section role="alert"><p>${notice}</p></section>`}
${chosen === undefined ? '' : experimentBody(chosen)}
</main>
<footer>
<a href="${here}">Refresh</a>
${
  chosen === undefined
    ? ''
    : html`<a href="${`/dashboard?experiment=${encodeURIComponent(key!)}&refresh=30`}">Refresh every 30 s</a>
<a href="${`/v1/experiments/${encodeURIComponent(key!)}/report`}">JSON</a>`
}
</footer>
</body>
</html>
`;
  return String(await page);
}

function link({ key, status }: Pick<Experiment, 'key' | 'status'>, current: string | undefined): Markup {
  const text = status === 'running' ? key : `${key} (${status})`;
  const href = `/dashboard?experiment=${encodeURIComponent(key)}`;
  return key === current
    ? html`<a href="${href}" aria-current="page">${text}</a>`
    : html`<a href="${href}">${text}</a>`;
}

function experimentBody({ report, timeline }: { report: ExperimentReport; timeline: Timeline | undefined }): Markup {
  const { experiment } = report;
  const arms = report.arms.map(({ arm }) => arm);
  const treatments = arms.map((arm, at) => ({ arm, at })).filter(({ arm }) => arm !== experiment.control);
  return html`<h1>${experiment.key}</h1>
<p>${experiment.description}</p>
<p class="quiet">${experiment.status} · ${period(report)} · ${level(report)} intervals</p>
${health(report)}
${
  report.from === null
    ? html`<section><p>No queries yet. Send some with <code>npm run traffic -- --queries 5000</code>.</p></section>`
    : treatments.map(({ arm, at }) => effects(report, { arm, at }))
}
<section><h2>By arm</h2><div class="scroll">${totalsTable(report)}</div></section>
${timeline === undefined ? '' : traffic(timeline, arms)}`;
}

const level = ({ confidence }: ExperimentReport) => `${Number((confidence * 100).toFixed(2))} %`;

const TONE = { ok: 'good', unknown: 'open', warning: 'open', alarm: 'bad' } as const;
const MARK = { ok: '✓', unknown: '?', warning: '!', alarm: '✗' } as const;

function health(report: ExperimentReport): Markup {
  return html`<section id="health"><h2>Health</h2>
${report.checks.map(
  (found) =>
    html`<p><span class="badge ${TONE[found.severity]}">${MARK[found.severity]} ${found.title}</span> ${sentence(found)}</p>`,
)}
<p class="quiet">${excluded(report)}</p></section>`;
}

/** A chart at the width of a desk and at that of a phone, so that its letters are never scaled; the sheet shows one. */
function chart(draw: (width: number) => string, widths: { wide: number; narrow: number }): Markup {
  return html`<div class="chart wide">${raw(draw(widths.wide))}</div><div class="chart narrow">${raw(draw(widths.narrow))}</div>`;
}

function effects(report: ExperimentReport, { arm, at }: { arm: string; at: number }): Markup {
  const comparable = report.metrics.some(({ arms }) => arms[at]!.effect?.relativeInterval != null);
  const trusted = report.checks.every(({ severity }) => severity !== 'alarm');
  return html`<section class="effects" ${trusted ? '' : raw('data-untrusted')}><h2>${arm} against ${report.experiment.control}${trusted ? '' : ': not to be read, see Health'}</h2>
${
  comparable
    ? chart((width) => forestPlot(report, { arm: at, width }), { wide: 880, narrow: 300 })
    : html`<p class="quiet">Nothing to compare yet: differences need at least two units in both arms.</p>`
}
<table class="metrics"><thead><tr><th scope="col">Metric</th><th scope="col">${report.experiment.control}</th><th scope="col">${arm}</th><th scope="col">Difference</th><th scope="col">${level(report)} interval</th><th scope="col">p</th></tr></thead>
<tbody>${report.metrics.map((metric) => metricRow(report, { metric, at }))}</tbody></table></section>`;
}

function metricRow(report: ExperimentReport, { metric, at }: { metric: MetricReport; at: number }): Markup {
  const { control } = report.experiment;
  const own = metric.arms[at]!;
  const base = metric.arms.find(({ arm }) => arm === control)!;
  const tone = finding(metric, own.effect);
  return html`<tr><th scope="row">${metric.title}</th><td data-label="${control}">${value(metric.unit, base.value)}</td><td data-label="${own.arm}">${value(metric.unit, own.value)}</td><td data-label="difference" class="${tone}">${difference(metric.unit, own.effect)}</td><td data-label="interval">${interval(metric.unit, own.effect)}</td><td data-label="p">${pValue(own.effect)}</td></tr>`;
}

function totalsTable(report: ExperimentReport): Markup {
  return html`<table><thead><tr><th scope="col"></th>${report.arms.map(({ arm }) => html`<th scope="col">${arm}</th>`)}</tr></thead>
<tbody>${totals(report).map(({ title, cells }) => html`<tr><th scope="row">${title}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table>`;
}

function traffic(timeline: Timeline, arms: readonly string[]): Markup {
  const panel = (title: string, measure: 'queries' | 'shown') =>
    html`<div><h3>${title}</h3>${chart((width) => trafficChart(timeline, { measure, arms, width }), { wide: 424, narrow: 300 })}</div>`;
  return html`<section><h2>Traffic, UTC, every ${span(timeline.stepMs)}</h2>
<div class="legend">${arms.map(
    (arm, at) =>
      html`<span><svg viewBox="0 0 20 6" aria-hidden="true"><rect width="20" height="6" rx="3" fill="${armColour(at)}"/></svg>${arm}</span>`,
  )}</div>
<div class="charts">${panel('Queries', 'queries')}${panel('Ads shown', 'shown')}</div></section>`;
}

/** A step in the largest unit that divides it. */
function span(ms: number): string {
  const units = [
    ['week', 604_800_000],
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1_000],
  ] as const;
  const [name, size] = units.find(([, length]) => ms % length === 0)!;
  return ms === size ? name : `${ms / size} ${name}s`;
}
