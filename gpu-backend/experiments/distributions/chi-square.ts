/**
 * Upper tail of the chi-square distribution with whole degrees of freedom: finite sums of positive terms (Abramowitz and
 * Stegun 26.4.4 and 26.4.5), so that a tiny p-value keeps its digits where 1 - cdf would be 0.
 */
import normalCdf from '@stdlib/stats-base-dists-normal-cdf';

/** P(X > x) for x >= 0 and `df` = 1, 2, ... */
export function chiSquareTail(x: number, df: number): number {
  if (x <= 0) return 1;
  if (x === Number.POSITIVE_INFINITY) return 0;
  const odd = df % 2 === 1;
  // exp(-x / 2) times x^(j - 1/2) / (1 * 3 * ...) for odd, (x / 2)^j / j! for even degrees
  let term = odd ? Math.sqrt((2 * x) / Math.PI) * Math.exp(-x / 2) : Math.exp(-x / 2);
  let sum = odd ? 2 * normalCdf(-Math.sqrt(x), 0, 1) : term;
  for (let k = odd ? 3 : 2; k <= df; k += 2) {
    if (odd) sum += term;
    term *= x / k;
    if (!odd && k < df) sum += term;
  }
  return Math.min(sum, 1);
}

/** The tail as a p-value; one too small for a double is the smallest double, since none is 0. */
export function chiSquarePValue(x: number, df: number): number {
  return Math.max(chiSquareTail(x, df), Number.MIN_VALUE);
}
