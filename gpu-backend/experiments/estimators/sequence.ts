/**
 * Effects that may be looked at as often as one likes and acted on at any look: asymptotic confidence sequences
 * (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
 * sequences", Annals of Statistics 2024, theorem 2.2). All intervals of the sequence cover the effect together with the
 * given confidence. It needs a value and its variance only, so it holds for ratios and adjusted values too.
 */
import type { Effect } from '../../../shared/contract/experiments.ts';
import { comparable, type Estimate } from './estimate.ts';
import { effectAt } from './welch.ts';

export interface SequenceOptions {
  confidence: number;
  /** Units of both arms together at which the sequence is narrowest; to be chosen before the first look. */
  tunedUnits?: number;
}

const DEFAULT_TUNED_UNITS = 10_000;
/** Units an arm below which the central limit theorem that the sequence rests on is not trusted. */
export const FEWEST_UNITS = 100;

/** Half-width in standard errors at a look with `units` in both arms together. */
export function sequenceCritical(units: number, options: SequenceOptions): number {
  const reach = units * mixture(options);
  return Math.sqrt(((2 * (reach + 1)) / reach) * Math.log(Math.sqrt(reach + 1) / (1 - options.confidence)));
}

/** The smallest error probability at which the sequence would leave out 0, given `z` standard errors; valid at any look. */
export function sequencePValue(z: number, units: number, options: SequenceOptions): number {
  const reach = units * mixture(options);
  const log = 0.5 * Math.log(reach + 1) - (z * z * reach) / (2 * (reach + 1));
  return Math.max(Math.min(1, Math.exp(log)), Number.MIN_VALUE);
}

/** The paper's rho squared: the weight of the mixture that makes the sequence narrowest at the tuned number of units. */
function mixture({ confidence, tunedUnits = DEFAULT_TUNED_UNITS }: SequenceOptions): number {
  const spent = -2 * Math.log(1 - confidence);
  return (spent + Math.log(spent + 1)) / tunedUnits;
}

/** Like `compare` (welch.ts), but valid at every look; `undefined` before either arm has {@link FEWEST_UNITS}. */
export function compareAnytime(
  control: Estimate | undefined,
  treatment: Estimate | undefined,
  options: SequenceOptions,
): Effect | undefined {
  const arms: [Estimate | undefined, Estimate | undefined] = [control, treatment];
  if (!comparable(arms) || arms.some(({ units }) => units < FEWEST_UNITS)) return undefined;
  const units = arms[0].units + arms[1].units;
  return effectAt(...arms, {
    critical: sequenceCritical(units, options),
    pValue: (z) => sequencePValue(z, units, options),
  });
}
