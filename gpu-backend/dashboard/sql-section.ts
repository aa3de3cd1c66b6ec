/** The statements that made the numbers, folded away; a link from each part of the page opens its own. */
import { html } from 'hono/html';
import type { ReportSql } from '../../shared/contract/report-detail.ts';
import type { Markup } from './drawing.ts';

export type PageSql = ReportSql & { traffic: readonly string[] };

const TITLES: Readonly<Record<keyof PageSql, string>> = {
  metrics: 'Units, totals, effects, verdicts, segments',
  checks: 'Health',
  trend: 'Effects so far',
  traffic: 'Traffic',
};

/** Leads to the statements of a part. The target lies inside the fold, which makes the browser unfold it. */
export function sqlLink(part: keyof PageSql): Markup {
  return html`<a class="sql" href="#sql-${part}">SQL</a>`;
}

export function sqlSection(statements: PageSql): Markup {
  return html`<section><h2>How the numbers were made</h2>
<p class="quiet">From the stored events and their rollups: whole numbers, added up exactly. Effects, intervals and p-values follow from these sums.</p>
${(Object.keys(TITLES) as (keyof PageSql)[]).map(
  (part) =>
    html`<details><summary>${TITLES[part]}</summary><pre id="sql-${part}" tabindex="0">${statements[part].map((text) => `${text};`).join('\n\n')}</pre></details>`,
)}</section>`;
}
