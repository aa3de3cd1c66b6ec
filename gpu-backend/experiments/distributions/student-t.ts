/**
 * Student's t with real degrees of freedom, as Welch's test needs it. The upper tail is computed as such, never as 1 - cdf,
 * so that a p-value of 1e-200 keeps its digits. Regularised incomplete beta by its continued fraction (DLMF 8.17.22).
 */
import normalQuantile from '@stdlib/stats-base-dists-normal-quantile';

const EPSILON = 2 ** -52;
const TINY = 1e-300;

/** ln(Γ(a + 1/2) / Γ(a)); the asymptotic series in 1/a after lifting `a` above 20, so that nothing cancels. */
function lnGammaRatio(a: number): number {
  let lift = 0;
  for (; a < 20; a += 1) lift += Math.log(a / (a + 0.5));
  const r = 1 / a;
  const series = 1 + r * (-1 / 8 + r * (1 / 128 + r * (5 / 1024 + r * (-21 / 32_768 + r * (-399 / 262_144)))));
  return 0.5 * Math.log(a) + Math.log(series) + lift;
}

/** The continued fraction of I_x(a, b) by the modified Lentz method; converges fast for x < (a + 1) / (a + b + 2). */
function betaFraction(x: number, a: number, b: number): number {
  const apart = (value: number) => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / apart(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m <= 100_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / apart(1 + even * d);
    c = apart(1 + even / c);
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / apart(1 + odd * d);
    c = apart(1 + odd / c);
    result *= d * c;
    if (Math.abs(d * c - 1) < EPSILON * 4) break;
  }
  return result;
}

/** P(T > t) for t >= 0 with `df` > 0 degrees of freedom. */
export function studentTail(t: number, df: number): number {
  if (t === 0) return 0.5;
  const ratio = (t * t) / df;
  if (ratio === Number.POSITIVE_INFINITY) return 0;
  const a = df / 2;
  // x^a (1 - x)^(1/2) / B(a, 1/2) with x = df / (df + t^2), in logarithms
  const lnFront =
    -a * Math.log1p(ratio) + 0.5 * Math.log(ratio / (1 + ratio)) + lnGammaRatio(a) - 0.5 * Math.log(Math.PI);
  const x = 1 / (1 + ratio);
  if (x < (a + 1) / (a + 2.5)) return (0.5 * Math.exp(lnFront) * betaFraction(x, a, 0.5)) / a;
  return 0.5 - Math.exp(lnFront) * betaFraction(ratio / (1 + ratio), 0.5, a);
}

function studentDensity(t: number, df: number): number {
  return Math.exp(lnGammaRatio(df / 2) - 0.5 * Math.log(df * Math.PI) - ((df + 1) / 2) * Math.log1p((t * t) / df));
}

/**
 * Half-width of a two-sided interval in standard errors: the t with `confidence` of the mass within [-t, t].
 * The tail is convex, and the normal quantile lies left of the root, so Newton's steps approach from one side.
 */
export function studentCritical(confidence: number, df: number): number {
  const tail = (1 - confidence) / 2;
  let t = normalQuantile(1 - tail, 0, 1);
  for (let step = 0; step < 200; step++) {
    const move = (studentTail(t, df) - tail) / studentDensity(t, df);
    t += move;
    if (Math.abs(move) <= 1e-13 * t) break;
  }
  return t;
}

/** Two-sided p-value of a t statistic; one too small for a double is the smallest double, since none is 0. */
export function studentPValue(t: number, df: number): number {
  return Math.max(2 * studentTail(Math.abs(t), df), Number.MIN_VALUE);
}
