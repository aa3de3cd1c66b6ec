/**
 * The planner compared with the market's own traffic: the same people, sessions and chances go once through the control
 * and once through an arm with a known effect, after days in which both are alike. Experiments of the planned size are
 * drawn from those people.
 */
import { adjust } from '../../gpu-backend/experiments/estimators/cuped.ts';
import { unitsFor } from '../../gpu-backend/experiments/estimators/power.ts';
import { covarianceOf, estimateQuantity } from '../../gpu-backend/experiments/estimators/quantity.ts';
import { compare } from '../../gpu-backend/experiments/estimators/welch.ts';
import { createMarket, MARKET_SEED } from '../../marketplace/market.ts';
import { A_A, simulatePast } from '../../marketplace/past.ts';
import { createRandom } from '../../marketplace/random.ts';
import { parseEffect } from '../../marketplace/true-effect.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import type { Row } from '../row.ts';
import { drawHuge, Sums } from './draws.ts';
import { asPlanned, POWER } from './planning.ts';
import { COLUMNS, type Name, type Population } from './population.ts';

const UNTIL_MS = Date.UTC(2026, 5, 29);
const DAYS = 14;
const DAY_MS = 86_400_000;
const CONFIDENCE = 0.95;
/** Cents, so that sums of squares are whole in a double. */
const MICROS_A_CENT = 10_000;
const REVENUE = { numerator: 'revenue' } as const;
const PAST = { numerator: 'pastRevenue' } as const;

/** What every person did in the first week and in the second, where everybody is in `arm` and revenue differs by `change`. */
async function peopleOf(
  arm: 'control' | 'treatment',
  { queries, market, change }: { queries: number; market: ReturnType<typeof createMarket>; change: string },
): Promise<Map<string, Record<Name, number>>> {
  const people = new Map<string, Record<Name, number>>();
  const ofImpression = new Map<string, { person: Record<Name, number>; past: boolean }>();
  const clicked = new Set<string>();
  const take = (event: HarnessEvent) => {
    if (event.type === 'impression') {
      const person =
        people.get(event.unitId) ?? (Object.fromEntries(COLUMNS.map((name) => [name, 0])) as Record<Name, number>);
      people.set(event.unitId, person);
      const past = event.atMs < UNTIL_MS - (DAYS / 2) * DAY_MS;
      person[past ? 'pastQueries' : 'queries'] += 1;
      person[past ? 'pastShown' : 'shown'] += event.slots.length;
      ofImpression.set(event.id, { person, past });
    } else if (event.type === 'click' && !clicked.has(event.id)) {
      clicked.add(event.id);
      const { person, past } = ofImpression.get(event.impressionId)!;
      person[past ? 'pastClicks' : 'clicks'] += 1;
      person[past ? 'pastRevenue' : 'revenue'] += Math.round(event.chargeMicros / MICROS_A_CENT);
    }
  };
  await simulatePast({
    queries,
    days: DAYS,
    untilMs: UNTIL_MS,
    market,
    experiment: { ...A_A, arms: A_A.arms.map((each) => ({ ...each, weight: each.key === arm ? 1 : 0 })) },
    effect: parseEffect([`revenue=${change}`], 'treatment'),
    budgets: 1e6, // none runs out: an arm that spends another's is another question (interference.ts)
    store: async (events) => events.forEach(take),
  });
  return people;
}

/** People of both runs in one order. */
function populationOf(people: ReadonlyMap<string, Record<Name, number>>, ids: readonly string[]): Population {
  const values = Object.fromEntries(
    COLUMNS.map((name) => [name, Float64Array.from(ids, (id) => people.get(id)?.[name] ?? 0)]),
  ) as Population['values'];
  return { size: ids.length, values, market: new Uint8Array(ids.length), latencies: [] };
}

/** Power reached by the planned number of people, with and without what they did in the week before. */
export async function marketPlanningRows(
  { queries, experiments }: { queries: number; experiments: number },
  say: (line: string) => void,
): Promise<Row[]> {
  say(`the market's traffic, ${queries} searches, once through each arm`);
  const market = createMarket({ seed: MARKET_SEED });
  const [control, treatment] = [
    await peopleOf('control', { queries, market, change: '+1%' }),
    await peopleOf('treatment', { queries, market, change: '+1%' }),
  ];
  const ids = [...new Set([...control.keys(), ...treatment.keys()])].sort();
  const arms = [populationOf(control, ids), populationOf(treatment, ids)];
  // the past is the same for both: before the experiment there is no arm
  arms[1] = { ...arms[1]!, values: { ...arms[1]!.values, pastRevenue: arms[0]!.values.pastRevenue } };
  const names: Name[] = ['revenue', 'pastRevenue'];
  const everybody = arms.map((arm) => {
    const sums = new Sums(arm, names);
    for (let person = 0; person < arm.size; person++) sums.add(person);
    return sums;
  });
  const [known, changed] = everybody.map((sums) => estimateQuantity(sums, REVENUE)!);
  const before = estimateQuantity(everybody[0]!, PAST)!;
  const correlation = covarianceOf(everybody[0]!, REVENUE, PAST)! / Math.sqrt(known!.variance! * before.variance!);
  const relative = changed!.value / known!.value - 1;
  const design = {
    baseline: known!.value,
    deviation: Math.sqrt(known!.variance! * ids.length),
    confidence: CONFIDENCE,
  };
  const units = unitsFor(design, { relative, power: POWER });
  const fewer = unitsFor({ ...design, correlation }, { relative, power: POWER });
  const random = createRandom(20_26, 'market planning');
  const reached = (size: number, adjusted: boolean) => {
    let found = 0;
    for (let experiment = 0; experiment < experiments; experiment++) {
      const drawn = arms.map((arm) => drawHuge(arm, names, size / 2, random));
      const [a, b] = adjusted
        ? adjust(drawn, { quantity: REVENUE, covariate: PAST })!.estimates
        : drawn.map((sums) => estimateQuantity(sums, REVENUE));
      if (compare(a, b, CONFIDENCE)!.significant) found++;
    }
    return found / experiments;
  };
  say(`${experiments} experiments of ${units} people, and of ${fewer} with their past`);
  return [
    { metric: "market's traffic with +1 % revenue: effect of the people drawn from", value: 100 * relative, unit: '%' },
    { metric: "market's traffic: people planned", value: units, unit: 'people' },
    asPlanned("market's traffic: power reached", reached(units, false)),
    asPlanned(
      `market's traffic: power reached with CUPED and ${((100 * fewer) / units).toFixed(0)} % of the people (1 - rho^2)`,
      reached(fewer, true),
    ),
  ];
}
