/** What to do about each arm, why, and how the metrics stand that must not get worse. */
import { html } from 'hono/html';
import type { DetailedReport, Verdict } from '../../shared/contract/report-detail.ts';
import { DECISIONS, guardrailCells } from '../experiments/verdict-wording.ts';
import type { Markup } from './drawing.ts';
import { sqlLink } from './sql-section.ts';

const TONE = { ship: 'good', hold: 'plain', roll_back: 'bad', none: 'bad' } as const;
const STATE_TONE = { safe: 'better', open: 'quiet', harmed: 'worse' } as const;

export function verdicts(report: DetailedReport): Markup {
  return html`${report.verdicts.map((verdict) => verdictSection(report, verdict))}`;
}

function verdictSection(report: DetailedReport, verdict: Verdict): Markup {
  const { arm, decision, rule, reason } = verdict;
  return html`<section class="verdict"><h2>Verdict on ${arm} ${sqlLink('metrics')}</h2>
<p class="decision"><span class="badge ${TONE[decision]}">${DECISIONS[decision]}</span> ${reason}</p>
<p class="quiet">Rule <code>${rule}</code>. Judged by intervals that hold however often they are looked at.</p>
<table class="guardrails"><thead><tr><th scope="col">Guardrail</th><th scope="col">Difference</th><th scope="col">Interval at any look</th><th scope="col">May lose</th><th scope="col">State</th></tr></thead>
<tbody>${verdict.guardrails.map((guardrail) => {
    const unit = report.metrics.find(({ metric }) => metric === guardrail.metric)?.unit ?? 'count';
    const [title, by, between, margin, state] = guardrailCells(guardrail, unit);
    return html`<tr><th scope="row">${title}</th><td data-label="difference">${by}</td><td data-label="interval">${between}</td><td data-label="may lose">${margin}</td><td class="${STATE_TONE[guardrail.state]}">${state}</td></tr>`;
  })}</tbody></table></section>`;
}
