/**
 * The exact multinomial test, for counts too small for chi-square: the chance, under the intended shares, of an outcome
 * that is no more likely than the one that came. All outcomes are gone through, so it is for few units and few arms.
 */
import { lnGamma } from './ln-gamma.ts';

/** Outcomes that are gone through at most. */
const MOST_OUTCOMES = 200_000;
/** Outcomes as likely as the observed one count, whatever the last digit says. */
const TIE = 1e-7;

/** The p-value for positive shares that add up to 1; `undefined` where there are too many outcomes to go through. */
export function exactMultinomialPValue(counts: readonly number[], shares: readonly number[]): number | undefined {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (outcomes(total, counts.length) > MOST_OUTCOMES) return undefined;
  const lnFactorials = Float64Array.from({ length: total + 1 }, (_, n) => lnGamma(n + 1));
  const lnTerm = (arm: number, n: number) => n * Math.log(shares[arm]!) - lnFactorials[n]!;
  const observed = counts.reduce((sum, n, arm) => sum + lnTerm(arm, n), 0);
  let pValue = 0;
  const visit = (arm: number, left: number, ln: number) => {
    if (arm === counts.length - 1) {
      const all = ln + lnTerm(arm, left);
      if (all <= observed + TIE) pValue += Math.exp(lnFactorials[total]! + all);
      return;
    }
    for (let n = 0; n <= left; n++) visit(arm + 1, left - n, ln + lnTerm(arm, n));
  };
  visit(0, total, 0);
  return Math.min(pValue, 1);
}

/** Ways to deal `total` units to `arms` arms. */
function outcomes(total: number, arms: number): number {
  let ways = 1;
  for (let i = 1; i < arms; i++) ways *= (total + i) / i;
  return ways;
}
