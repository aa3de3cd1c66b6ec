/** What an offline policy could have answered from a cache of `capacity` entries of equal size, computed exactly. */

/**
 * The best fixed content, chosen with knowledge of all requests and there from the start. No policy that cannot see the
 * future does better on requests that are independent of each other, such as Zipf's.
 */
export function staticHits(requests: Uint32Array, capacity: number): number {
  const counts = countsOf(requests).sort((a, b) => b - a);
  return counts.slice(0, capacity).reduce((sum, count) => sum + count, 0);
}

function countsOf(requests: Uint32Array): number[] {
  const counts: number[] = [];
  for (const query of requests) counts[query] = (counts[query] ?? 0) + 1;
  return counts.filter((count) => count > 0);
}

/**
 * Belady's MIN (1966), allowed not to keep what it fetched: of the entries at hand it always drops the one that is
 * needed last. It sees the future, which no cache does.
 */
export function minHits(requests: Uint32Array, capacity: number): number {
  const nextUse = new Float64Array(requests.length);
  const seen: number[] = [];
  for (let at = requests.length - 1; at >= 0; at--) {
    nextUse[at] = seen[requests[at]!] ?? Number.POSITIVE_INFINITY;
    seen[requests[at]!] = at;
  }
  /** When each entry held is needed next; beside it a heap of the same, latest first, where outdated ones may linger. */
  const held = new Map<number, number>();
  const heap = new LatestFirst();
  let hits = 0;
  for (let at = 0; at < requests.length; at++) {
    const query = requests[at]!;
    const next = nextUse[at]!;
    if (held.has(query)) hits += 1;
    if (next === Number.POSITIVE_INFINITY) {
      held.delete(query);
      continue;
    }
    held.set(query, next);
    heap.push(next);
    while (held.size > capacity) {
      const latest = heap.pop();
      const entry = requests[latest]!;
      if (held.get(entry) === latest) held.delete(entry);
    }
  }
  return hits;
}

/** A binary heap of numbers, the largest on top. */
class LatestFirst {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! >= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number {
    const items = this.#items;
    const top = items[0]!;
    const last = items.pop()!;
    if (items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]! > items[child]!) child += 1;
      if (items[child]! <= last) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
