/** Requests by Zipf's law: the query of rank r is asked for in proportion to 1 / r^exponent, independently of what came before. */

export interface ZipfOptions {
  queries: number;
  requests: number;
  exponent: number;
  seed: number;
}

/** Ranks, 0-based, one a request. */
export function zipfRequests({ queries, requests, exponent, seed }: ZipfOptions): Uint32Array {
  const cumulated = new Float64Array(queries);
  let sum = 0;
  for (let rank = 0; rank < queries; rank++) {
    sum += 1 / (rank + 1) ** exponent;
    cumulated[rank] = sum;
  }
  const random = uniform(seed);
  return Uint32Array.from({ length: requests }, () => {
    const point = random() * sum;
    let [low, high] = [0, queries - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulated[middle]! > point) high = middle;
      else low = middle + 1;
    }
    return low;
  });
}

/** SplitMix32: uniform in [0, 1). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 0x1_0000_0000;
  };
}
