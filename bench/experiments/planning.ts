/**
 * What the planner promises: effects of the size that the paper reports, in a population with the uneven habits of a
 * market, found with the planned power by the planned number of units, and by 1 - rho^2 of it where a covariate helps.
 */
import { adjust } from '../../gpu-backend/experiments/estimators/cuped.ts';
import { type Design, unitsFor } from '../../gpu-backend/experiments/estimators/power.ts';
import { covarianceOf, estimateQuantity, type Quantity } from '../../gpu-backend/experiments/estimators/quantity.ts';
import { compare } from '../../gpu-backend/experiments/estimators/welch.ts';
import { createRandom } from '../../marketplace/random.ts';
import type { Row } from '../row.ts';
import { drawHuge, Sums } from './draws.ts';
import { grown, type Name, type Population } from './population.ts';

export const POWER = 0.8;

/** The share of experiments that found the effect, against the planned power. */
export const asPlanned = (metric: string, value: number): Row => ({
  metric,
  value,
  unit: '',
  target: `${POWER} +- 0.03`,
  ok: Math.abs(value - POWER) <= 0.03,
});

const CONFIDENCE = 0.95;

const EFFECTS = [
  { title: '+1 % revenue', name: 'revenue', past: 'pastRevenue', relative: 0.01 },
  { title: '+0.6 % ads shown', name: 'shown', past: 'pastShown', relative: 0.006 },
  { title: '+0.4 % clicks', name: 'clicks', past: 'pastClicks', relative: 0.004 },
] as const;

/** Power reached with and without the covariate, and the traffic that it saves. */
export function planningRows(population: Population, experiments: number, say: (line: string) => void): Row[] {
  return EFFECTS.flatMap(({ title, name, past, relative }): Row[] => {
    say(`${title}: ${experiments} experiments of the planned size`);
    const [quantity, covariate]: Quantity<Name>[] = [{ numerator: name }, { numerator: past }];
    const names = [name, past];
    const everybody = new Sums(population, names);
    for (let person = 0; person < population.size; person++) everybody.add(person);
    const known = estimateQuantity(everybody, quantity!)!;
    const before = estimateQuantity(everybody, covariate!)!;
    const correlation = covarianceOf(everybody, quantity!, covariate!)! / Math.sqrt(known.variance! * before.variance!);
    const design: Design = {
      baseline: known.value,
      deviation: Math.sqrt(known.variance! * population.size),
      confidence: CONFIDENCE,
    };
    const treated = grown(population, name, relative, 11);
    const random = createRandom(20_26, title);
    const run = (units: number, adjusted: boolean) => {
      let found = 0;
      let left = 0;
      for (let experiment = 0; experiment < experiments; experiment++) {
        const arms = [population, treated].map((each) => drawHuge(each, names, units / 2, random));
        const cuped = adjusted ? adjust(arms, { quantity: quantity!, covariate: covariate! })! : undefined;
        const [control, treatment] = cuped?.estimates ?? arms.map((arm) => estimateQuantity(arm, quantity!));
        left += (cuped?.varianceShare ?? 1) / experiments;
        if (compare(control, treatment, CONFIDENCE)!.significant) found++;
      }
      return { power: found / experiments, left };
    };
    const units = unitsFor(design, { relative, power: POWER });
    const fewer = unitsFor({ ...design, correlation }, { relative, power: POWER });
    const plain = run(units, false);
    const adjusted = run(fewer, true);
    return [
      { metric: `${title}: units planned`, value: units, unit: 'units' },
      asPlanned(`${title}: power reached`, plain.power),
      asPlanned(
        `${title}: power reached with CUPED and ${((100 * fewer) / units).toFixed(0)} % of the units`,
        adjusted.power,
      ),
      {
        metric: `${title}: variance left by CUPED`,
        value: adjusted.left,
        unit: 'of all',
        target: `1 - rho^2 = ${(1 - correlation ** 2).toFixed(3)}`,
        ok: Math.abs(adjusted.left - (1 - correlation ** 2)) <= 0.01,
      },
    ];
  });
}
