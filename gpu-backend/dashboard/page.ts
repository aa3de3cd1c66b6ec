/** The dashboard page: experiments, and the chosen one's health, effects, numbers and traffic. Pure; `html` escapes every value. */
import { html, raw } from 'hono/html';
import type { CheckFinding } from '../../shared/contract/experiments.ts';
import type { DetailedReport } from '../../shared/contract/report-detail.ts';
import type { Experiment } from '../../shared/experiment.ts';
import type { Timeline } from '../experiments/timeline.ts';
import { excluded, period, sentence, size, totals } from '../experiments/wording.ts';
import type { Markup } from './drawing.ts';
import { effects, interleaving, level, segments, triggered } from './effects-section.ts';
import { glossary } from './glossary-section.ts';
import { sqlLink, sqlSection } from './sql-section.ts';
import { STYLE } from './style.ts';
import { traffic, trends } from './time-section.ts';
import { verdicts } from './verdict-section.ts';

export interface DashboardView {
  experiments: readonly Pick<Experiment, 'key' | 'status'>[];
  /** The chosen experiment; absent where there is none to choose. */
  chosen?: { report: DetailedReport; timeline: Timeline | undefined; trafficSql: readonly string[] };
  /** What went wrong, instead of an experiment. */
  notice?: string;
  /** Seconds after which the page loads itself again. */
  refreshSeconds?: number;
  /** The page is to be read elsewhere: nothing on it links anywhere. */
  alone?: boolean;
}

/** An interval beside the line of no difference. */
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cg stroke='%231f6fd6' stroke-width='2'%3E%3Cpath d='M3 1v14' stroke='%23808890'/%3E%3Cpath d='M6 8h9'/%3E%3Ccircle cx='10.5' cy='8' r='2.5' fill='%231f6fd6'/%3E%3C/g%3E%3C/svg%3E";

/** The page as HTML that needs nothing else. */
export async function renderDashboard(view: DashboardView): Promise<string> {
  const { chosen, notice, refreshSeconds, alone = false } = view;
  const key = chosen?.report.experiment.key;
  const here = key === undefined ? '/dashboard' : `/dashboard?experiment=${encodeURIComponent(key)}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${refreshSeconds === undefined ? '' : html`<meta http-equiv="refresh" content="${refreshSeconds}">`}
<link rel="icon" href="${ICON}">
<title>${key === undefined ? '' : `${key} · `}Harness experiments</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<header><strong>Harness experiments</strong>${alone ? '' : html`<nav aria-label="Experiments">${view.experiments.map((each) => link(each, key))}</nav>`}</header>
<main>
${notice === undefined ? '' : html`<section role="alert"><p>${notice}</p></section>`}
${chosen === undefined ? '' : experimentBody(chosen)}
</main>
<footer>
${alone ? '' : footer(key, here)}
</footer>
</body>
</html>
`;
  return String(await page);
}

function footer(key: string | undefined, here: string): Markup {
  const refresh = html`<a href="${here}">Refresh</a>`;
  if (key === undefined) return refresh;
  return html`${refresh}
<a href="${`${here}&refresh=30`}">Refresh every 30 s</a>
<a href="${`${here}&alone=1`}">Page to share</a>
<a href="${`/v1/experiments/${encodeURIComponent(key)}/report`}">JSON</a>`;
}

function link({ key, status }: Pick<Experiment, 'key' | 'status'>, current: string | undefined): Markup {
  const text = status === 'running' ? key : `${key} (${status})`;
  const href = `/dashboard?experiment=${encodeURIComponent(key)}`;
  return key === current
    ? html`<a href="${href}" aria-current="page">${text}</a>`
    : html`<a href="${href}">${text}</a>`;
}

function experimentBody({ report, timeline, trafficSql }: NonNullable<DashboardView['chosen']>): Markup {
  const { experiment } = report;
  const arms = report.arms.map(({ arm }) => arm);
  const treatments = arms.includes(experiment.control)
    ? arms.map((arm, at) => ({ arm, at })).filter(({ arm }) => arm !== experiment.control)
    : [];
  return html`<h1>${experiment.key}</h1>
<p>${experiment.description}</p>
<p class="quiet">${experiment.status} · ${period(report)} · ${report.from === null ? '' : `${size(report)} · `}${level(report)} intervals</p>
${report.from === null ? html`<section><p>${noQueries(experiment.status)}</p></section>` : verdicts(report)}
${health(report)}
${report.interleaving === undefined ? '' : interleaving(report, report.interleaving)}
${report.from === null ? '' : treatments.map((at) => html`${effects(report, at)}${report.triggered === undefined ? '' : triggered(report, { found: report.triggered, arm: at.arm })}${trends(report, at)}${segments(report, at)}`)}
<section><h2>By arm ${sqlLink('metrics')}</h2><div class="scroll">${totalsTable(report)}</div></section>
${timeline === undefined ? '' : traffic(timeline, arms)}
${glossary(report)}
${sqlSection({ ...report.sql, traffic: trafficSql })}`;
}

/** Why there is nothing yet, and what to do. */
function noQueries(status: Experiment['status']): Markup {
  if (status === 'running')
    return html`No queries yet. Send some with <code>npm run traffic -- --queries 5000</code>; those of curl and other programs count as bots.`;
  if (status === 'draft')
    return html`Nobody is in a draft. Give it the status <code>running</code> in its file, then <code>npm run experiments -- apply</code>.`;
  return html`It had no queries before it was stopped.`;
}

const TONE = { ok: 'good', unknown: 'plain', warning: 'warn', alarm: 'bad' } as const;
const MARK = { ok: '✓', unknown: '?', warning: '!', alarm: '✗' } as const;

/** What needs a look first; what is well is folded away. */
function health(report: DetailedReport): Markup {
  const [well, look] = [true, false].map((ok) => report.checks.filter(({ severity }) => (severity === 'ok') === ok));
  return html`<section id="health"><h2>Health ${sqlLink('checks')}</h2>
${look!.map(check)}
${
  well!.length === 0
    ? ''
    : html`<details><summary><span class="badge good">✓ ${well!.length} of ${report.checks.length} checks</span> ${well!.map(({ title }) => title).join(' · ')}</summary>${well!.map(check)}</details>`
}
<p class="quiet">${excluded(report)}</p></section>`;
}

function check(found: CheckFinding): Markup {
  return html`<p><span class="badge ${TONE[found.severity]}">${MARK[found.severity]} ${found.title}</span> ${sentence(found)}</p>`;
}

function totalsTable(report: DetailedReport): Markup {
  return html`<table><thead><tr><th scope="col"></th>${report.arms.map(({ arm }) => html`<th scope="col">${arm}</th>`)}</tr></thead>
<tbody>${totals(report).map(({ title, cells }) => html`<tr><th scope="row">${title}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table>`;
}
