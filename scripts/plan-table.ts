/** What a planned experiment needs and finds, as a table of effects and a curve of power. Pure. */
import { type Design, detectable, power, unitsFor } from '../gpu-backend/experiments/estimators/power.ts';

export interface PlanOptions {
  design: Design;
  /** Relative effect to be found: 0.01 is one per cent. */
  relative: number;
  power: number;
  /** Units that enter the experiment in a day; absent, no days are given. */
  unitsPerDay?: number;
}

export interface Plan {
  relative: number;
  power: number;
  /** Units of both arms together that the effect needs. */
  units: number;
  days?: number;
  /** Around the effect: what other effects need. */
  effects: { relative: number; units: number; days?: number }[];
  /** Around the units: the power for the effect, and the smallest effect that is found with the power asked for. */
  curve: { units: number; power: number; detectable: number }[];
}

const FACTORS = [0.5, 0.75, 1, 1.5, 2, 3];
const SHARES = [0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2];

export function planFor({ design, relative, power: wanted, unitsPerDay }: PlanOptions): Plan {
  const days = (units: number) => (unitsPerDay === undefined ? {} : { days: Math.ceil(units / unitsPerDay) });
  const units = unitsFor(design, { relative, power: wanted });
  return {
    relative,
    power: wanted,
    units,
    ...days(units),
    effects: FACTORS.map((factor) => {
      const needed = unitsFor(design, { relative: relative * factor, power: wanted });
      return { relative: relative * factor, units: needed, ...days(needed) };
    }),
    curve: SHARES.map((share) => {
      const count = Math.ceil(units * share);
      return {
        units: count,
        power: power(design, { relative, units: count }),
        detectable: detectable(design, { units: count, power: wanted }),
      };
    }),
  };
}

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const percent = (share: number) => `${Number((share * 100).toPrecision(3))} %`;
const BAR = 40;

/** Rows of equal length as text, all to the right. */
function align(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column]!)).join('   '));
}

/** The plan for a terminal, without a final newline. */
export function planTable({ relative, power: wanted, units, days, effects, curve }: Plan): string {
  const withDays = days !== undefined;
  const time = withDays ? `, ${whole.format(days)} ${days === 1 ? 'day' : 'days'}` : '';
  return [
    `An effect of ${percent(relative)} is found with power ${percent(wanted)} by ${whole.format(units)} units in both arms${time}.`,
    '',
    ...align([
      ['effect', 'units', ...(withDays ? ['days'] : [])],
      ...effects.map((row) => [
        percent(row.relative),
        whole.format(row.units),
        ...(withDays ? [whole.format(row.days!)] : []),
      ]),
    ]),
    '',
    ...align([
      ['units', 'smallest effect', 'power'],
      ...curve.map((row) => [whole.format(row.units), percent(row.detectable), percent(row.power)]),
    ]).map((line, at) => (at === 0 ? line : `${line}   ${'█'.repeat(Math.round(BAR * curve[at - 1]!.power))}`)),
  ].join('\n');
}
