/** ln Γ for positive arguments: Stirling's series (DLMF 5.11.1) after lifting the argument to where it converges at once. */

const HALF_LN_TWO_PI = 0.5 * Math.log(2 * Math.PI);
const ENOUGH = 16;

/** ln Γ(x) for x > 0. */
export function lnGamma(x: number): number {
  let lift = 0;
  for (; x < ENOUGH; x += 1) lift += Math.log(x);
  const r = 1 / (x * x);
  const series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / x;
  return (x - 0.5) * Math.log(x) - x + HALF_LN_TWO_PI + series - lift;
}
