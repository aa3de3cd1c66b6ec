/**
 * The sample ratio at every look: a test that may be read after every unit and keeps its error probability (Lindon and
 * Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022). The Bayes factor of a Dirichlet mixture around
 * the intended shares against the shares themselves is a martingale while they hold, so that by Ville's inequality one over
 * its maximum is a p-value. Here it is looked at after each day.
 */
import { lnGamma } from '../distributions/ln-gamma.ts';
import { type Check, printByArm, printP } from './check.ts';
import type { Arrivals, Evidence } from './evidence.ts';

/** Chance of an alarm in the whole life of the experiment where nothing is wrong. */
export const ALPHA = 0.01;
/** Units that the prior is worth: it expects shares within about half a percentage point of the intended ones. */
const CONCENTRATION = 10_000;

/** Logarithm of the Bayes factor of counts against intended shares that add up to 1. */
export function lnBayesFactor(counts: readonly number[], shares: readonly number[]): number {
  const total = counts.reduce((sum, n) => sum + n, 0);
  return counts.reduce(
    (sum, n, i) => {
      const prior = CONCENTRATION * shares[i]!;
      return sum + lnGamma(prior + n) - lnGamma(prior) - n * Math.log(shares[i]!);
    },
    lnGamma(CONCENTRATION) - lnGamma(CONCENTRATION + total),
  );
}

/** The p-value after each look, never rising; `looks` are running counts. */
export function sequentialPValues(looks: readonly (readonly number[])[], shares: readonly number[]): number[] {
  let most = 0;
  return looks.map((counts) => {
    most = Math.max(most, lnBayesFactor(counts, shares));
    return Math.max(Math.exp(-most), Number.MIN_VALUE);
  });
}

export const sequentialRatio: Check = {
  key: 'sample_ratio_sequential',
  title: 'Sample ratio, read daily',
  find({ arms, arrivals }: Evidence) {
    const intended = arms.filter(({ weight }) => weight > 0);
    if (arrivals.length === 0) return undefined;
    const weight = intended.reduce((sum, arm) => sum + arm.weight, 0);
    const shares = intended.map((arm) => arm.weight / weight);
    const looks = running(
      arrivals,
      intended.map(({ arm }) => arm),
    );
    const pValues = sequentialPValues(looks, shares);
    const pValue = pValues.at(-1)!;
    const last = looks.at(-1)!;
    const units = last.reduce((sum, n) => sum + n, 0);
    const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
    const share = printByArm(
      intended.map(({ arm }, i) => ({ arm, share: percent(units === 0 ? 0 : last[i]! / units) })),
      (arm) => arm.share,
    );
    const alarmed = pValues.findIndex((p) => p < ALPHA);
    return {
      severity: alarmed < 0 ? 'ok' : 'alarm',
      expected: printByArm(
        intended.map(({ arm }, i) => ({ arm, share: percent(shares[i]!) })),
        (arm) => arm.share,
      ),
      received: `${share} of ${units} units (${printP(pValue)} at any look${alarmed < 0 ? '' : `; below ${ALPHA} since ${arrivals[alarmed]!.day}`})`,
      action:
        alarmed < 0
          ? ''
          : `Stop reading the metrics: something that began by ${arrivals[alarmed]!.day} takes units from an arm or adds some.`,
      pValue,
    };
  },
};

/** Running counts of the arms after each day. */
function running(arrivals: readonly Arrivals[], arms: readonly string[]): number[][] {
  const counts = arms.map(() => 0);
  return arrivals.map(({ units }) => {
    for (const [i, arm] of arms.entries()) counts[i]! += units[arm] ?? 0;
    return [...counts];
  });
}
