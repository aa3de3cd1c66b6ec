/** Verdicts and guardrails in words, the same in the terminal and on the dashboard. Pure. */
import type { Decision, Guardrail } from '../../shared/contract/report-detail.ts';
import { difference, interval } from './wording.ts';

export const DECISIONS: Readonly<Record<Decision, string>> = {
  ship: 'Ship',
  hold: 'Hold',
  roll_back: 'Roll back',
  none: 'No verdict',
};

const STATES: Readonly<Record<Guardrail['state'], string>> = {
  safe: 'holds',
  open: 'not shown yet',
  harmed: 'broken',
};

/** Title, difference, interval, margin and state of a guardrail, in the metric's unit. */
export function guardrailCells({ title, effect, margin, state }: Guardrail, unit: 'count' | 'ratio' | 'micros' | 'ms') {
  return [
    title,
    difference(unit, effect),
    interval(unit, effect),
    `${Number((margin * 100).toFixed(2))} %`,
    STATES[state],
  ] as const;
}
