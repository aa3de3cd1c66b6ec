/** Designs against interference in a market whose truth is known: how far off they are, and how often their intervals hold it. */
import type { Effect } from '../../shared/contract/experiments.ts';
import type { Side } from '../../shared/switchback.ts';
import { createInterferenceMarket, RECOVERING } from '../interference-market.ts';
import { bounded, type Row } from '../row.ts';
import { budgetSplitDay, half, paid, switchbackDay } from './designs.ts';

const HOUR_MS = 3_600_000;
/** Purses are full when the day begins; that start-up is nobody's steady state. */
const SETTLED_MS = 4 * HOUR_MS;
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Estimates as shares of the truth, and whether the interval holds it. */
interface Trial {
  estimate: number;
  covered: boolean;
}

const trial = ({ absolute, interval: [low, high] }: Pick<Effect, 'absolute' | 'interval'>, truth: number): Trial => ({
  estimate: absolute / truth,
  covered: low <= truth && truth <= high,
});

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
    trials: seeds.map((seed) => trial(budgetSplitDay(market, { ...day, seed }), truth)),
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
  const analysed = (seed: number, washoutMinutes: number) =>
    trial(
      switchbackDay(market, { ...day, seed, windowMinutes: 120, washoutMinutes, fromMs: SETTLED_MS }),
      (truthAnHour * (120 - washoutMinutes)) / 60,
    );
  return {
    unwashed: seeds.map((seed) => analysed(seed, 0).estimate),
    trials: seeds.map((seed) => analysed(seed, 60)),
  };
}
