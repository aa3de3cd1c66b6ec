import { describe, expect, it } from 'vitest';
import { dilutedEstimate, triggeredShare } from '../../../../gpu-backend/experiments/designs/triggered.ts';
import { estimateQuantity, momentsOf, type Quantity } from '../../../../gpu-backend/experiments/estimators/quantity.ts';
import { compare } from '../../../../gpu-backend/experiments/estimators/welch.ts';
import { A_A, simulatePast } from '../../../../marketplace/past.ts';
import type { Experiment } from '../../../../shared/experiment.ts';
import { uniforms } from '../../../fixtures/random.ts';
import { bookedMarket } from '../../../fixtures/tiny-market.ts';

type Name = 'clicks' | 'queries';
interface Unit extends Record<Name, number> {
  triggered: boolean;
}

/** Units of an arm; `lift` more clicks a query where triggered. */
function arm({ units, rate, lift, seed }: { units: number; rate: number; lift: number; seed: number }): Unit[] {
  const uniform = uniforms(seed);
  return Array.from({ length: units }, () => {
    const triggered = uniform() < rate;
    const queries = 1 + Math.floor(10 * uniform());
    let clicks = 0;
    for (let query = 0; query < queries; query++) if (uniform() < 0.3 + (triggered ? lift : 0)) clicks++;
    return { triggered, queries, clicks };
  });
}

const CLICKS: Quantity<Name> = { numerator: 'clicks' };
const RATE: Quantity<Name> = { numerator: 'clicks', denominator: 'queries' };

/** Both ways to the effect on everybody: over all units, and through the triggered ones. */
function effects(control: Unit[], treatment: Unit[], quantity: Quantity<Name>) {
  const of = (units: Unit[], triggered: boolean) =>
    momentsOf<Name>(units.filter((unit) => unit.triggered === triggered));
  const [c, t] = [of(control, true), of(treatment, true)];
  const rest = momentsOf<Name>([...control, ...treatment].filter(({ triggered }) => !triggered));
  const dilution = { rest, share: triggeredShare([c, t], rest) };
  return {
    all: compare(
      estimateQuantity(momentsOf<Name>(control), quantity),
      estimateQuantity(momentsOf<Name>(treatment), quantity),
      0.95,
    )!,
    diluted: compare(dilutedEstimate(c, quantity, dilution), dilutedEstimate(t, quantity, dilution), 0.95)!,
  };
}

const width = ({ interval: [low, high] }: { interval: [number, number] }) => high - low;

describe('triggered analysis', () => {
  it.each([
    ['mean', CLICKS],
    ['ratio', RATE],
  ])('at a rate of 5 %% has about a twentieth of the variance: %s', (_name, quantity) => {
    const { all, diluted } = effects(
      arm({ units: 20_000, rate: 0.05, lift: 0, seed: 1 }),
      arm({ units: 20_000, rate: 0.05, lift: 0, seed: 2 }),
      quantity,
    );
    const saved = (width(all) / width(diluted)) ** 2;
    expect(saved).toBeGreaterThan(16);
    expect(saved).toBeLessThan(25);
  });

  it('finds the effect on everybody that the whole cannot see', () => {
    // 5.5 queries a unit, 5 % triggered, 4 points more clicks a query there.
    const truth = { mean: 0.05 * 0.04 * 5.5, ratio: 0.05 * 0.04 };
    let [covered, found, seen] = [0, 0, 0];
    for (let seed = 0; seed < 20; seed++) {
      const control = arm({ units: 6_000, rate: 0.05, lift: 0, seed: 100 + seed });
      const treatment = arm({ units: 6_000, rate: 0.05, lift: 0.04, seed: 200 + seed });
      for (const [quantity, expected] of [
        [CLICKS, truth.mean],
        [RATE, truth.ratio],
      ] as const) {
        const { all, diluted } = effects(control, treatment, quantity);
        const [low, high] = diluted.interval;
        if (low <= expected && expected <= high) covered++;
        if (diluted.significant) found++;
        if (all.significant) seen++;
      }
    }
    expect(covered).toBeGreaterThanOrEqual(36);
    expect(found).toBeGreaterThan(3 * Math.max(seen, 1));
  });

  it('is the ordinary analysis where every unit is triggered', () => {
    const control = arm({ units: 500, rate: 1, lift: 0, seed: 5 });
    const treatment = arm({ units: 500, rate: 1, lift: 0.1, seed: 6 });
    for (const quantity of [CLICKS, RATE]) {
      const { all, diluted } = effects(control, treatment, quantity);
      expect(diluted.absolute).toBeCloseTo(all.absolute, 12);
      expect(width(diluted)).toBeCloseTo(width(all), 3);
    }
  });
});

describe('triggered analysis in the market', () => {
  /** Treatment leaves out ads that fit a query worst; what it shows differs for some of the queries. */
  const experiment = {
    ...A_A,
    counterfactualShare: 1,
    arms: A_A.arms.map((arm) => (arm.key === 'control' ? arm : { ...arm, parameters: { minRelevance: 0.77 } })),
  };
  const alone = (key: string) => ({
    ...experiment,
    arms: experiment.arms.map((arm) => ({ ...arm, weight: arm.key === key ? 1 : 1e-9 })),
  });

  /** People with what the log says of them; those who were never triggered saw what they would have seen in the other arm. */
  async function people(of: Experiment, seed: number): Promise<(Unit & { arm: string })[]> {
    const units = new Map<string, Unit & { arm: string }>();
    const unitOf = new Map<string, string>();
    await simulatePast({
      queries: 3_000,
      users: 2_500,
      budgets: 100,
      days: 7,
      untilMs: Date.UTC(2026, 5, 15),
      seed,
      experiment: of,
      market: bookedMarket(),
      store: async (events) => {
        for (const event of events) {
          if (event.type === 'impression') {
            const { arm, triggered } = event.assignments[0]!;
            const known = units.get(event.unitId) ?? { arm, triggered: false, queries: 0, clicks: 0 };
            units.set(event.unitId, known);
            unitOf.set(event.id, event.unitId);
            known.queries += 1;
            known.triggered ||= triggered!;
          } else if (event.type === 'click') units.get(unitOf.get(event.impressionId)!)!.clicks += 1;
        }
      },
    });
    return [...units.values()];
  }

  it('holds the truth, what a launch brings to everybody, in an interval that is narrower', async () => {
    const seeds = Array.from({ length: 8 }, (_, i) => i + 1);
    const rate = async (key: string) => {
      const all = (await Promise.all(seeds.map((seed) => people(alone(key), seed)))).flat();
      return momentsOf<Name>(all);
    };
    const [control, treatment] = [await rate('control'), await rate('treatment')];
    const truth = compare(estimateQuantity(control, RATE), estimateQuantity(treatment, RATE), 0.95)!.absolute;
    let [covered, narrower] = [0, 0];
    for (const seed of seeds) {
      const units = await people(experiment, 100 + seed);
      const of = (arm: string) => units.filter((unit) => unit.arm === arm);
      const { all, diluted } = effects(of('control'), of('treatment'), RATE);
      if (diluted.interval[0] <= truth && truth <= diluted.interval[1]) covered += 1;
      if (width(diluted) < 0.8 * width(all)) narrower += 1;
    }
    expect(covered).toBeGreaterThanOrEqual(7);
    expect(narrower).toBe(seeds.length);
  });
});
