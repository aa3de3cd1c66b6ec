/** A report in words and digits, the same in the terminal and on the dashboard. Pure; English, UTC. */
import type {
  CheckFinding,
  Effect,
  ExperimentReport,
  InterleavingReport,
  MetricReport,
  TriggeredReport,
} from '../../shared/contract/experiments.ts';
import { MICROS } from '../../shared/money.ts';

export type Unit = MetricReport['unit'];

/** Where there is nothing to show. */
export const NONE = '–';

/** Numbers for people: with that many decimals, and the minus sign (U+2212) that is as wide as a plus, not a hyphen. */
function fixed(digits: number, options: Intl.NumberFormatOptions = {}) {
  const format = new Intl.NumberFormat('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    ...options,
  });
  return { format: (amount: number) => format.format(amount).replace('-', '\u2212') };
}
const whole = fixed(0);
const cents = fixed(2);
/** Three significant digits or more, so that 0.0123 and 12.34 both say enough. */
const significant = (value: number) =>
  (Math.abs(value) >= 100 ? fixed(1) : Math.abs(value) >= 1 || value === 0 ? fixed(2) : fixed(4)).format(value);

/** A metric's value in its unit; money in the account's currency. */
export function value(unit: Unit, amount: number | null): string {
  if (amount === null) return NONE;
  if (unit === 'micros')
    return Math.abs(amount) < MICROS ? fixed(4).format(amount / MICROS) : cents.format(amount / MICROS);
  if (unit === 'ratio') return `${cents.format(amount * 100)} %`;
  return unit === 'ms' ? `${significant(amount)} ms` : significant(amount);
}

/** A sum over an arm: whole numbers, or money. */
export function total(unit: Unit, amount: number): string {
  return unit === 'micros' ? cents.format(amount / MICROS) : whole.format(amount);
}

/** Keeps the sign of a difference; what rounds to 0 has none. */
const signed = (digits: number) => fixed(digits, { signDisplay: 'exceptZero' });

/** Decimals of an effect's percentages, alike for the effect and both ends of its interval: the wider, the fewer. */
function decimals({ relativeInterval }: Effect): number {
  const widest = Math.max(...relativeInterval!.map(Math.abs));
  return widest >= 1 ? 0 : widest >= 0.1 ? 1 : 2;
}

/** A relative effect as signed per cent. */
function percent(share: number, digits: number): string {
  return `${signed(digits).format(share * 100)} %`;
}

function absolute(unit: Unit, amount: number): string {
  return amount > 0 ? `+${value(unit, amount)}` : value(unit, amount);
}

/** The difference: relative to control, or absolute where control is 0. */
export function difference(unit: Unit, effect: Effect | null): string {
  if (effect === null) return NONE;
  return effect.relative === null ? absolute(unit, effect.absolute) : percent(effect.relative, decimals(effect));
}

/** The interval of {@link difference}. */
export function interval(unit: Unit, effect: Effect | null): string {
  if (effect === null) return NONE;
  const [low, high] =
    effect.relativeInterval?.map((end) => percent(end, decimals(effect))) ??
    effect.interval.map((end) => absolute(unit, end));
  return `${low} to ${high}`;
}

/** Both in one. */
export function withInterval(unit: Unit, effect: Effect | null): string {
  return effect === null ? NONE : `${difference(unit, effect)} (${interval(unit, effect)})`;
}

export function pValue(effect: Effect | null): string {
  return effect === null ? NONE : printPValue(effect.pValue);
}

export const printPValue = (p: number) => (p < 0.0001 ? '< 0.0001' : p.toFixed(4));

export type Finding = 'better' | 'worse' | 'changed' | 'open';

/**
 * What a reader may conclude: the interval excludes 0, and on which side. At the border the relative interval, which also
 * carries the control's own uncertainty, may reach over 0 where the absolute one does not; then nothing is claimed.
 */
export function finding({ direction }: Pick<MetricReport, 'direction'>, effect: Effect | null): Finding {
  if (effect === null || !effect.significant) return 'open';
  const [low, high] = effect.relativeInterval ?? effect.interval;
  if (low <= 0 && high >= 0) return 'open';
  if (direction === 'none') return 'changed';
  return effect.absolute > 0 === (direction === 'increase') ? 'better' : 'worse';
}

/** An interleaving's two answers: title, difference to even, its interval, p-value; the clicks come first. */
export function interleavingCells({ clicks, units, teamDraft, debiased }: InterleavingReport): {
  heading: string;
  rows: [string, string, string, string][];
} {
  const cells = (title: string, effect: Effect | null): [string, string, string, string] => {
    const points = effect && { ...effect, relative: null, relativeInterval: null };
    return [title, difference('ratio', points), interval('ratio', points), pValue(points)];
  };
  return {
    heading: `${whole.format(clicks.treatment)} clicks on ads of the treatment, ${whole.format(clicks.control)} on the control's, by ${whole.format(units)} units`,
    rows: [
      cells("Treatment's share of clicks, less a half", teamDraft),
      [
        'Clicks a slot that was looked at',
        difference('ratio', debiased),
        interval('ratio', debiased),
        pValue(debiased),
      ],
    ],
  };
}

/** Triggered and diluted effects of an arm beside the full ones: a heading, and title, then all units', diluted, triggered. */
export function triggeredCells(
  { metrics, arms }: Pick<ExperimentReport, 'metrics' | 'arms'>,
  { found, arm }: { found: TriggeredReport; arm: string },
): { heading: string; rows: string[][] } {
  const at = arms.findIndex((each) => each.arm === arm);
  const sum = (of: (each: TriggeredReport['arms'][number]) => number) =>
    found.arms.reduce((total, each) => total + of(each), 0);
  const triggered = sum((each) => each.triggered);
  return {
    heading: `${whole.format(triggered)} of ${whole.format(triggered + sum(({ rest }) => rest))} units (${(100 * found.share).toFixed(1)} %) had a query that another arm would have answered otherwise`,
    rows: metrics.flatMap(({ metric, title, unit, arms: own }) => {
      const effects = found.effects.find((each) => each.metric === metric && each.arm === arm);
      if (effects === undefined) return [];
      const cells = [own[at]!.effect, effects.diluted, effects.triggered];
      return [[title, ...cells.map((effect) => withInterval(unit, effect))]];
    }),
  };
}

export interface TotalRow {
  title: string;
  /** One cell an arm, in the report's order. */
  cells: string[];
}

/** Units, queries, and the sums that have a title. */
export function totals(report: ExperimentReport): TotalRow[] {
  const sums = report.metrics.flatMap(({ totalTitle: title, unit, arms }) =>
    title === undefined ? [] : [{ title, cells: arms.map((arm) => total(unit, arm.total)) }],
  );
  return [
    { title: 'Units', cells: report.arms.map(({ units }) => whole.format(units)) },
    { title: 'Queries', cells: report.arms.map(({ queries }) => whole.format(queries)) },
    ...sums,
  ];
}

/** How much the report is about. */
export function size({ arms }: Pick<ExperimentReport, 'arms'>): string {
  const sum = (of: 'units' | 'queries') => whole.format(arms.reduce((total, arm) => total + arm[of], 0));
  return `${sum('units')} units, ${sum('queries')} queries`;
}

/** What the report left out, in one sentence. */
export function excluded({ excluded: { bots, mixedUnits } }: ExperimentReport): string {
  const queries = `${whole.format(bots)} ${bots === 1 ? 'query' : 'queries'} of bots`;
  return `Left out: ${queries}, ${whole.format(mixedUnits)} ${mixedUnits === 1 ? 'unit' : 'units'} seen in several arms.`;
}

/** A check's finding in one line: what came, what should have, what to do. */
export function sentence({ expected, received, action }: CheckFinding): string {
  return `${received}; expected ${expected}.${action === '' ? '' : ` ${action}`}`;
}

/** An instant to the minute, UTC. */
function minute(instant: string): string {
  return `${instant.slice(0, 10)} ${instant.slice(11, 16)}`;
}

/** When the counted queries were answered. */
export function period({ from, to }: ExperimentReport): string {
  return from === null || to === null ? 'no queries yet' : `${minute(from)} to ${minute(to)} UTC`;
}
