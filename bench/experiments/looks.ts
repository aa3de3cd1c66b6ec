/** Experiments without effect that are looked at a thousand times: how many ever claim one; and what verdicts say of guardrails. */
import { adjust } from '../../gpu-backend/experiments/estimators/cuped.ts';
import type { Estimate } from '../../gpu-backend/experiments/estimators/estimate.ts';
import { estimateQuantity, type Quantity } from '../../gpu-backend/experiments/estimators/quantity.ts';
import { compareAnytime } from '../../gpu-backend/experiments/estimators/sequence.ts';
import { guardrailState } from '../../gpu-backend/experiments/verdict.ts';
import { createRandom, type Random } from '../../marketplace/random.ts';
import { bounded, type Row } from '../row.ts';
import { namesOf, Sums } from './draws.ts';
import { grown, type Name, type Population } from './population.ts';

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
  return [...rows, returningRow(population, experiments), ...guardrailRows(population, { experiments, say })];
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

/** What a guardrail on revenue may lose. */
const MARGIN = 0.1;

/** How often a verdict calls a guardrail safe at any look: where the treatment loses the margin exactly, and where it loses nothing. */
function guardrailRows(
  population: Population,
  { experiments, say }: { experiments: number; say: (line: string) => void },
): Row[] {
  say(`a guardrail: ${experiments} experiments with ${LOOKS} looks, at its margin and without a loss`);
  const better = grown(population, 'revenue', MARGIN / (1 - MARGIN), 7);
  const called = (control: Population) => {
    const random = createRandom(20_26, 'looks/guardrail');
    let safe = 0;
    for (let experiment = 0; experiment < experiments; experiment++)
      if (isCalledSafe([control, population], random)) safe++;
    return (100 * safe) / experiments;
  };
  const title = (loss: string) => `guardrail called safe in ${LOOKS} looks, ${loss}`;
  return [
    // of the 5 % of all sequences that may ever be wrong, half are so on this side
    bounded(title('at its margin'), called(better), '%', ['<=', 2.5]),
    { metric: title('without a loss'), value: called(population), unit: '%' },
  ];
}

function isCalledSafe(populations: readonly [control: Population, treatment: Population], random: Random): boolean {
  const arms = populations.map((each) => new Sums(each, ['revenue']));
  for (let look = 0; look < LOOKS; look++) {
    for (const [at, arm] of arms.entries())
      for (let unit = 0; unit < STEP; unit++) arm.add(random.int(populations[at]!.size));
    const [control, treatment] = arms.map((arm) => estimateQuantity(arm, { numerator: 'revenue' }));
    const effect = compareAnytime(control, treatment, OPTIONS) ?? null;
    if (guardrailState(effect, 1, MARGIN) === 'safe') return true;
  }
  return false;
}
