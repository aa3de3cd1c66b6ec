/** Experiments without effect that are looked at a thousand times: how many ever claim one. */
import { adjust } from '../../gpu-backend/experiments/estimators/cuped.ts';
import type { Estimate } from '../../gpu-backend/experiments/estimators/estimate.ts';
import { estimateQuantity, type Quantity } from '../../gpu-backend/experiments/estimators/quantity.ts';
import { compareAnytime } from '../../gpu-backend/experiments/estimators/sequence.ts';
import { createRandom, type Random } from '../../marketplace/random.ts';
import { bounded, type Row } from '../row.ts';
import { namesOf, Sums } from './draws.ts';
import type { Name, Population } from './population.ts';

const LOOKS = 1_000;
/** Units that each arm gains between two looks. */
const STEP = 10;
const OPTIONS = { confidence: 0.95 };

interface Kind {
  name: string;
  quantity: Quantity<Name>;
  covariate?: Quantity<Name>;
}

const KINDS: readonly Kind[] = [
  { name: 'mean', quantity: { numerator: 'revenue' } },
  { name: 'ratio', quantity: { numerator: 'clicks', denominator: 'shown' } },
  { name: 'mean, CUPED', quantity: { numerator: 'revenue' }, covariate: { numerator: 'pastRevenue' } },
];

/** The share of experiments that a sequence stops, for each kind, and that repeated fixed-horizon intervals would. */
export function lookRows(population: Population, experiments: number, say: (line: string) => void): Row[] {
  const rows: Row[] = [];
  for (const { name, quantity, covariate } of KINDS) {
    say(`${name}: ${experiments} experiments with ${LOOKS} looks`);
    const random = createRandom(20_26, `looks/${name}`);
    let [stopped, fooled] = [0, 0];
    for (let experiment = 0; experiment < experiments; experiment++) {
      const found = watch(population, { quantity, covariate, random });
      stopped += Number(found.stopped);
      fooled += Number(found.fooled);
    }
    const percent = (count: number) => (100 * count) / experiments;
    rows.push(bounded(`A/A claims in ${LOOKS} looks, sequence, ${name}`, percent(stopped), '%', ['<=', 5]));
    if (covariate === undefined)
      rows.push({ metric: `A/A claims in ${LOOKS} looks, repeated tests, ${name}`, value: percent(fooled), unit: '%' });
  }
  return [...rows, returningRow(population, experiments)];
}

function watch(
  population: Population,
  { quantity, covariate, random }: { quantity: Quantity<Name>; covariate: Quantity<Name> | undefined; random: Random },
): { stopped: boolean; fooled: boolean } {
  const names = namesOf(quantity, covariate ?? quantity);
  const arms = [new Sums(population, names), new Sums(population, names)];
  const estimates = (): (Estimate | undefined)[] =>
    (covariate === undefined ? undefined : adjust(arms, { quantity, covariate })?.estimates) ??
    arms.map((arm) => estimateQuantity(arm, quantity));
  let [stopped, fooled] = [false, false];
  for (let look = 0; look < LOOKS && !stopped; look++) {
    for (const arm of arms) for (let unit = 0; unit < STEP; unit++) arm.add(random.int(population.size));
    const [control, treatment] = estimates();
    const effect = compareAnytime(control, treatment, OPTIONS);
    if (effect === undefined) continue;
    stopped = effect.significant;
    const z = effect.absolute / Math.sqrt(control!.variance! + treatment!.variance!);
    fooled ||= Math.abs(z) > 1.96;
  }
  return { stopped, fooled: fooled || stopped };
}

/**
 * People who come back, so that a unit's sum grows between looks: three rows in ten bring a new person,
 * and every row is of somebody who is there already. The
 * theory is about units that arrive once; this says how far it carries.
 */
function returningRow(population: Population, experiments: number): Row {
  const random = createRandom(20_26, 'looks/returning');
  const { revenue, queries } = population.values;
  let stopped = 0;
  for (let experiment = 0; experiment < experiments; experiment++) {
    const arms = [0, 1].map(() => ({ people: [] as { rate: number; sum: number }[], sum: 0, squares: 0 }));
    for (let look = 0; look < LOOKS; look++) {
      const estimates = arms.map((arm) => {
        for (let row = 0; row < STEP; row++) {
          if (arm.people.length === 0 || random.chance(0.3)) {
            const person = random.int(population.size);
            arm.people.push({ rate: revenue[person]! / queries[person]!, sum: 0 });
          }
          const unit = random.pick(arm.people);
          const value = Math.round(2 * random.next() * unit.rate);
          arm.sum += value;
          arm.squares += value * (value + 2 * unit.sum);
          unit.sum += value;
        }
        const units = arm.people.length;
        const mean = arm.sum / units;
        return { value: mean, variance: (arm.squares / units - mean ** 2) / (units - 1), units };
      });
      if (compareAnytime(estimates[0], estimates[1], OPTIONS)?.significant) {
        stopped++;
        break;
      }
    }
  }
  return bounded(`A/A claims in ${LOOKS} looks, sequence, people who come back`, (100 * stopped) / experiments, '%', [
    '<=',
    5,
  ]);
}
