/** The words of the page for a reader who has not met them, folded away. */
import { html } from 'hono/html';
import type { DetailedReport } from '../../shared/contract/report-detail.ts';
import type { Markup } from './drawing.ts';
import { level } from './effects-section.ts';

export function glossary(report: DetailedReport): Markup {
  const words: readonly (readonly [string, string])[] = [
    ['Unit', 'Whoever the arms are dealt by: a visitor, or a query in experiments that divert by query.'],
    [
      'Difference',
      `An arm against ${report.experiment.control}, in per cent of what ${report.experiment.control} has.`,
    ],
    [
      `${level(report)} interval`,
      'Where the true difference lies, for one look at a sample size that was decided before.',
    ],
    ['At any look', 'The same for readers who look every day and may stop when it leaves 0. Wider; verdicts go by it.'],
    ['p', 'How often chance alone makes a difference as large where there is none.'],
    [
      'Guardrail',
      'A metric that must not lose more than its margin ("may lose"). It holds when its interval at any look lies above that, and is broken when it lies below.',
    ],
    [
      'Ship, hold, roll back',
      'Ship: the primary metric is better and all guardrails hold. Roll back: it is worse, or a guardrail is broken. Hold: not known yet. No verdict: a check of Health has failed.',
    ],
    ['Capped', 'A unit counts up to that quantile of all units, so that a few large ones do not decide.'],
    ['Adjusted', 'With what units did before the experiment, or who they are, taken out of the noise (CUPED).'],
    ['Holm', 'p-values raised for the number of metrics or segments that are read together.'],
    ['Money', 'In the currency of the account.'],
  ];
  return html`<section><details class="glossary"><summary>What the words mean</summary><dl>${words.map(
    ([word, meaning]) => html`<dt>${word}</dt><dd>${meaning}</dd>`,
  )}</dl></details></section>`;
}
