/**
 * The true effect of an arm, set by whoever sends the traffic, so that a report can be compared with the truth. People
 * behave by the arm that their answer names: they search more, or click or buy less often. What one arm is to do more
 * often, the others do less often by the same factor, so that no probability ever exceeds 1 and the ratio is exact.
 */
import { HarnessError } from '../shared/problem.ts';
import type { Random } from './random.ts';

/** Metrics per person whose relative change can be set. Revenue follows clicks, and ads shown follow queries. */
const EFFECT_METRICS = ['queries', 'clicks', 'revenue', 'conversions'] as const;
export type EffectMetric = (typeof EFFECT_METRICS)[number];

export interface TrueEffect {
  /** The arm that differs from the others. */
  readonly arm: string;
  /** Ratios of the arm to the others: searches a person, clicks a search, purchases a click. */
  readonly searches: number;
  readonly clicks: number;
  readonly conversions: number;
}

/** Every arm alike. */
export const NO_EFFECT: TrueEffect = { arm: '', searches: 1, clicks: 1, conversions: 1 };

const CHANGE = /^(\w+)=([+-]?\d+(?:\.\d+)?)%$/;

/** Reads `revenue=+1%` and the like; what is not named follows from what is. Throws `bad_request`. */
export function parseEffect(changes: readonly string[], arm: string): TrueEffect {
  const set = new Map<EffectMetric, number>();
  for (const text of changes) {
    const [, name, percent] = CHANGE.exec(text) ?? [];
    const metric = EFFECT_METRICS.find((each) => each === name);
    const ratio = 1 + Number(percent) / 100;
    if (metric === undefined || !(ratio > 0 && ratio <= 10))
      throw new HarnessError(
        'bad_request',
        `--effect: expected one of ${EFFECT_METRICS.join(', ')} with a change above -100% and at most +900%, such as revenue=+1%, got ${text}.`,
      );
    set.set(metric, ratio);
  }
  if (set.has('clicks') && set.has('revenue'))
    throw new HarnessError('bad_request', '--effect: set clicks or revenue: the auction sets the price of a click.');
  const searches = set.get('queries') ?? 1;
  const clicks = set.get('clicks') ?? set.get('revenue') ?? searches;
  return { arm, searches, clicks: clicks / searches, conversions: (set.get('conversions') ?? clicks) / clicks };
}

/** Factor on a chance in an arm, at most 1. */
export function thinning(ratio: number, differs: boolean): number {
  return Math.min(1, differs ? ratio : 1 / ratio);
}

/** How many more times something is done in an arm, 0 on average where the arm has the lower rate. */
export function drawExtra(ratio: number, differs: boolean, random: Random): number {
  const extra = Math.max(1, differs ? ratio : 1 / ratio) - 1;
  return Math.floor(extra) + (random.chance(extra % 1) ? 1 : 0);
}
