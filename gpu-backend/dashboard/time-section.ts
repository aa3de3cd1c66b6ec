/** Over time: how the effects came about, and the traffic by arm. */
import { html, raw } from 'hono/html';
import type { DetailedReport } from '../../shared/contract/report-detail.ts';
import type { Timeline } from '../experiments/timeline.ts';
import { armColour, chart, type Markup } from './drawing.ts';
import { type ArmAt, isTrusted, level } from './effects-section.ts';
import { sqlLink } from './sql-section.ts';
import { trafficChart, trendChart } from './time-charts.ts';

const PANEL = { wide: 456, narrow: 300 };

/** The running effect on the metrics that the verdict is made of. */
export function trends(report: DetailedReport, { arm, at }: ArmAt): Markup {
  if (report.experiment.kind === 'switchback') return html``;
  const { series, stepMs } = report.trend;
  const panels = series.flatMap(({ metric, arm: of, points }) => {
    const title = report.metrics.find((each) => each.metric === metric)?.title ?? metric;
    if (of !== arm || points.length === 0) return [];
    return html`<div><h3>${title}, %</h3>${chart((width) => trendChart(points, { title, arm: at, width, stepMs }), PANEL)}</div>`;
  });
  const trusted = isTrusted(report);
  return html`<section class="trends" ${trusted ? '' : raw('data-untrusted')}><h2>${arm} against ${report.experiment.control} so far, every ${span(stepMs)} ${sqlLink('trend')}</h2>
${
  panels.length === 0
    ? html`<p class="quiet">From 100 units an arm on.</p>`
    : html`<div class="charts">${panels}</div>
<p class="quiet">The band is a ${level(report)} confidence sequence: it holds at all looks together, so a test may be stopped when it leaves 0.</p>`
}</section>`;
}

export function traffic(timeline: Timeline, arms: readonly string[]): Markup {
  const panel = (title: string, measure: 'queries' | 'shown') =>
    html`<div><h3>${title}</h3>${chart((width) => trafficChart(timeline, { measure, arms, width }), PANEL)}</div>`;
  return html`<section class="traffic"><h2>Traffic, UTC, every ${span(timeline.stepMs)} ${sqlLink('traffic')}</h2>
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
