/**
 * p-values of many tests read together, adjusted so that each may be compared with the level as it is: Holm (Scandinavian
 * Journal of Statistics 1979) for the chance of any false claim, Benjamini and Hochberg (JRSS B 1995) for the expected share
 * of false ones among the claims.
 */

/** Adjusted p-values in the order given. */
export function holm(pValues: readonly number[]): number[] {
  let reached = 0;
  return inOrder(pValues, (p, rank) => (reached = Math.max(reached, Math.min(1, (pValues.length - rank) * p))));
}

/** Adjusted p-values in the order given; for tests that are independent or positively dependent. */
export function benjaminiHochberg(pValues: readonly number[]): number[] {
  let reached = 1;
  const last = pValues.length - 1;
  return inOrder(pValues, (p, rank) => (reached = Math.min(reached, (pValues.length * p) / (last - rank + 1))), true);
}

/** Calls `adjusted` from the smallest p-value on (or the greatest), rank from 0, and puts the answers back in place. */
function inOrder(
  pValues: readonly number[],
  adjusted: (p: number, rank: number) => number,
  descending = false,
): number[] {
  const order = pValues.map((_, at) => at).sort((a, b) => pValues[a]! - pValues[b]!);
  if (descending) order.reverse();
  const found = new Array<number>(pValues.length);
  for (const [rank, at] of order.entries()) found[at] = adjusted(pValues[at]!, rank);
  return found;
}
