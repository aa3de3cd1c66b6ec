/**
 * Days of a market with budgets under two designs against interference, analysed by the estimator of served switchbacks. A
 * switchback goes by the product's own assignment. A budget split (Liu, Mao and Kang, "Trustworthy and powerful online
 * marketplace experimentation with budget-split design", KDD 2021) is not served: here users are dealt to arms as ever, and every
 * campaign's budget in the same halves, so that an arm that spends faster empties its own purse and not the other's.
 */
import {
  comparePair,
  pairOf,
  pairWindows,
  type WindowSums,
} from '../../gpu-backend/experiments/designs/switchback-pairs.ts';
import { momentsOf } from '../../gpu-backend/experiments/estimators/quantity.ts';
import { assign } from '../../shared/assignment.ts';
import type { Effect } from '../../shared/contract/experiments.ts';
import { Experiment, hash32 } from '../../shared/experiment.ts';
import type { Side } from '../../shared/switchback.ts';
import { experimentOf } from '../../test/fixtures/experiment-traffic.ts';
import type { Charge, createInterferenceMarket, TrafficOptions } from '../interference-market.ts';

type Market = ReturnType<typeof createInterferenceMarket>;
type Traffic = Pick<TrafficOptions, 'seed' | 'users' | 'queries' | 'durationMs'>;

const CONFIDENCE = 0.95;

/** Micros of the charges, of one side where it is given. */
export const paid = (charges: readonly Charge[], side?: Side): number =>
  charges.reduce((sum, charge) => sum + (side === undefined || charge.side === side ? charge.micros : 0), 0);

/** An ordinary split of the users. */
export const half = (user: string): Side => (hash32(`half:${user}`) >>> 31) as Side;

/** Effect on what the whole market pays, had each arm had all users and budgets. The cluster is the campaign. */
export function budgetSplitDay(market: Market, traffic: Traffic): Pick<Effect, 'absolute' | 'interval'> {
  const charges = market.run({
    ...traffic,
    sideOf: half,
    purseOf: (side) => ({ name: `${side}`, share: 0.5 }),
  });
  const campaigns = Array.from({ length: market.campaigns }, () => ({ control: 0, treatment: 0 }));
  for (const { campaign, side, micros } of charges)
    campaigns[campaign]![side === 0 ? 'control' : 'treatment'] += micros;
  const scale = 2 * market.campaigns; // twice the half that an arm had, over all campaigns
  const pair = pairOf(momentsOf<'control' | 'treatment'>(campaigns), {
    control: { numerator: 'control', scale },
    treatment: { numerator: 'treatment', scale },
  });
  return comparePair(pair, CONFIDENCE)!;
}

export interface SwitchbackDay extends Traffic {
  windowMinutes: number;
  washoutMinutes: number;
  /** Blocks that begin before it are left out. */
  fromMs: number;
}

/** Effect on what the market pays in the settled time of a window. */
export function switchbackDay(market: Market, day: SwitchbackDay): Pick<Effect, 'absolute' | 'interval'> {
  const { windowMinutes, washoutMinutes, fromMs, ...traffic } = day;
  const experiment = Experiment.parse({
    ...experimentOf(`day-${traffic.seed}`),
    kind: 'switchback',
    switchback: { windowMinutes, washoutMinutes },
  });
  const assigned = (user: string, atMs: number) =>
    assign({ units: { user }, market: 'us', locale: 'en', device: 'desktop', atMs }, [experiment])[0]!;
  const isControl = ({ arm }: { arm: { key: string } }) => arm.key === experiment.control;
  const charges = market.run({ ...traffic, sideOf: (user, atMs) => (isControl(assigned(user, atMs)) ? 0 : 1) });
  const windows = new Map<string, WindowSums & { values: { micros: number } }>();
  for (const { userId, atMs, micros } of charges) {
    const { unitId, arm, washout } = assigned(userId, atMs);
    if (washout) continue;
    const window = windows.get(unitId) ?? { unitId, arm: arm.key, values: { micros: 0 } };
    windows.set(unitId, window);
    window.values.micros += micros;
  }
  const { control } = experiment;
  const options = { windowMinutes, control, fromMs, toMs: traffic.durationMs };
  const [pair] = pairWindows([...windows.values()], [{ numerator: 'micros' }], options);
  return comparePair(pair!, CONFIDENCE)!;
}
