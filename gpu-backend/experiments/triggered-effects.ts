/** Triggered and diluted effects of all metrics, from the rollup's units with a complete counterfactual log. Pure. */
import type { TriggeredReport } from '../../shared/contract/experiments.ts';
import type { SumMetric } from '../../shared/metric.ts';
import { columnsOf, quantityOf } from './columns.ts';
import { dilutedEstimate, triggeredShare } from './designs/triggered.ts';
import { estimateQuantity, pooled } from './estimators/quantity.ts';
import { compare } from './estimators/welch.ts';
import type { Rollup } from './rollup.ts';

export interface TriggeredOptions {
  metrics: readonly SumMetric[];
  control: string;
  /** With control. */
  arms: readonly string[];
  confidence: number;
}

/** `undefined` where nothing was logged. */
export function triggeredEffects(
  { compared }: Pick<Rollup, 'compared'>,
  { metrics, control, arms, confidence }: TriggeredOptions,
): TriggeredReport | undefined {
  const triggered = (arm: string) => compared.triggered.get(arm) ?? pooled([]);
  const rests = arms.flatMap((arm) => compared.rest.get(arm) ?? []);
  const all = arms.map(triggered);
  const rest = pooled(rests);
  if (rest.units + pooled(all).units === 0) return undefined;
  const share = triggeredShare(all, rest);
  return {
    share,
    arms: arms.map((arm) => ({ arm, triggered: triggered(arm).units, rest: compared.rest.get(arm)?.units ?? 0 })),
    effects: metrics.flatMap((metric) => {
      const quantity = quantityOf(columnsOf(metric), metric.scale);
      const within = (arm: string) => estimateQuantity(triggered(arm), quantity);
      const diluted = (arm: string) => dilutedEstimate(triggered(arm), quantity, { rest, share });
      return arms
        .filter((arm) => arm !== control)
        .map((arm) => ({
          metric: metric.key,
          arm,
          triggered: compare(within(control), within(arm), confidence) ?? null,
          diluted: compare(diluted(control), diluted(arm), confidence) ?? null,
        }));
    }),
  };
}
