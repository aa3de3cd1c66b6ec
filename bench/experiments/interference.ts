/** Designs against interference in a market whose truth is known: how far off they are, and how often their intervals hold it. */
import { analyseBudgetSplit } from '../../gpu-backend/experiments/designs/budget-split.ts';
import { analyseSwitchback } from '../../gpu-backend/experiments/designs/switchback.ts';
import { hash32 } from '../../shared/experiment.ts';
import { type Side, sideAt } from '../../shared/switchback.ts';
import { type Charge, createInterferenceMarket, RECOVERING } from '../interference-market.ts';
import { bounded, type Row } from '../row.ts';

const HOUR_MS = 3_600_000;
/** Purses are full when the day begins; that start-up is nobody's steady state. */
const SETTLED_MS = 4 * HOUR_MS;
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const half = (user: string) => (hash32(`half:${user}`) >>> 31) as Side;
const paid = (charges: readonly Charge[], side?: Side) =>
  charges.reduce((sum, charge) => sum + (side === undefined || charge.side === side ? charge.micros : 0), 0);

/** Estimates as shares of the truth, and whether the interval holds it. */
interface Trial {
  estimate: number;
  covered: boolean;
}

/** `trials` days of each design; quick ones are few. */
export function interferenceRows(trials: number, say: (line: string) => void): Row[] {
  const seeds = Array.from({ length: trials }, (_, seed) => seed);
  say(`${trials} days of a market with budgets, split`);
  const split = budgetSplit(seeds);
  say(`${trials} days of a market that recovers, switched every two hours`);
  const switched = switchback(seeds);
  const off = (name: string, found: readonly Trial[], most: number) =>
    bounded(`${name}: error of the mean`, Math.abs(mean(found.map(({ estimate }) => estimate)) - 1), 'of the truth', [
      '<=',
      most,
    ]);
  const held = (name: string, found: readonly Trial[]) =>
    bounded(`${name}: intervals that hold the truth`, mean(found.map(({ covered }) => Number(covered))), 'share', [
      '>=',
      0.9,
    ]);
  return [
    { metric: 'ordinary split: estimate', value: mean(split.naive), unit: 'of the truth' },
    off('budget split', split.trials, 0.03),
    held('budget split', split.trials),
    { metric: 'switchback without washout: estimate', value: mean(switched.unwashed), unit: 'of the truth' },
    off('switchback', switched.trials, 0.05),
    held('switchback', switched.trials),
  ];
}

function budgetSplit(seeds: readonly number[]): { naive: number[]; trials: Trial[] } {
  const market = createInterferenceMarket({ seed: 1, campaigns: 60, purseMicros: 3_000_000, refillMicrosPerMs: 0 });
  const day = { users: 800, queries: 2_000, durationMs: 24 * HOUR_MS };
  const all = (side: Side) => mean(seeds.map((seed) => paid(market.run({ ...day, seed, sideOf: () => side }))));
  const truth = all(1) - all(0);
  return {
    naive: seeds.map((seed) => {
      const charges = market.run({ ...day, seed, sideOf: half });
      return (2 * (paid(charges, 1) - paid(charges, 0))) / truth;
    }),
    trials: seeds.map((seed) => {
      const charges = market.run({ ...day, seed, sideOf: half, purseOf: (side) => ({ name: `${side}`, share: 0.5 }) });
      const campaigns = Array.from({ length: market.campaigns }, (_, id) => {
        const own = charges.filter(({ campaign }) => campaign === id);
        return { campaignId: `${id}`, control: paid(own, 0), treatment: paid(own, 1) };
      });
      const { absolute, interval, clusters } = analyseBudgetSplit(campaigns, {
        shares: { control: 0.5, treatment: 0.5 },
        confidence: 0.95,
      })!;
      const [low, high] = interval.map((end) => end * clusters);
      return { estimate: (absolute * clusters) / truth, covered: low! <= truth && truth <= high! };
    }),
  };
}

function switchback(seeds: readonly number[]): { unwashed: number[]; trials: Trial[] } {
  const market = createInterferenceMarket(RECOVERING);
  const day = { users: 800, queries: 8_000, durationMs: 24 * HOUR_MS };
  const all = (side: Side) =>
    mean(
      seeds.map((seed) =>
        paid(market.run({ ...day, seed, sideOf: () => side }).filter(({ atMs }) => atMs >= SETTLED_MS)),
      ),
    );
  const truthAnHour = (all(1) - all(0)) / 20;
  const analysed = (seed: number, washoutMs: number) => {
    const design = { key: `${seed}`, windowMs: 2 * HOUR_MS, washoutMs };
    const charges = market.run({ ...day, seed, sideOf: (_, atMs) => sideAt(design, atMs) });
    const settled = (2 * HOUR_MS - washoutMs) / HOUR_MS;
    const { absolute, interval } = analyseSwitchback(
      design,
      charges.map(({ atMs, micros }) => ({ atMs, value: micros })),
      { fromMs: SETTLED_MS, toMs: 24 * HOUR_MS, confidence: 0.95 },
    )!;
    const [low, high] = interval.map((end) => end / settled);
    return {
      estimate: absolute / settled / truthAnHour,
      covered: low! <= truthAnHour && truthAnHour <= high!,
    };
  };
  return {
    unwashed: seeds.map((seed) => analysed(seed, 0).estimate),
    trials: seeds.map((seed) => analysed(seed, HOUR_MS)),
  };
}
