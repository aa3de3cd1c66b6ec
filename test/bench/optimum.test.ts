import fc from 'fast-check';
import { expect, it } from 'vitest';
import { minHits, staticHits } from '../../bench/edge/optimum.ts';
import { zipfRequests } from '../../bench/edge/zipf.ts';

/** Every choice tried: what may be held after each request is any part of what was held and the entry asked for. */
function bestHits(requests: readonly number[], capacity: number, held: readonly number[] = []): number {
  const [query, ...rest] = requests;
  if (query === undefined) return 0;
  const hit = held.includes(query) ? 1 : 0;
  const all = hit ? [...held] : [...held, query];
  const choices = all.length <= capacity ? [all] : all.map((left) => all.filter((entry) => entry !== left));
  return hit + Math.max(...choices.map((choice) => bestHits(rest, capacity, choice)));
}

it('MIN is the best that any choice could do', () => {
  const requests = fc.array(fc.nat({ max: 4 }), { maxLength: 9 });
  fc.assert(
    fc.property(requests, fc.integer({ min: 1, max: 3 }), (asked, capacity) => {
      expect(minHits(Uint32Array.from(asked), capacity)).toBe(bestHits(asked, capacity));
    }),
  );
});

it('the best fixed content is the most asked for', () => {
  expect(staticHits(Uint32Array.of(7, 1, 7, 2, 7, 2, 3), 2)).toBe(5);
  expect(staticHits(Uint32Array.of(1, 2), 5)).toBe(2);
});

it("requests follow Zipf's law", () => {
  const requests = zipfRequests({ queries: 1_000, requests: 200_000, exponent: 1, seed: 3 });
  const counts = new Map<number, number>();
  for (const query of requests) counts.set(query, (counts.get(query) ?? 0) + 1);
  const harmonic = Array.from({ length: 1_000 }, (_, i) => 1 / (i + 1)).reduce((a, b) => a + b);
  for (const rank of [0, 1, 9, 99]) {
    const expected = 200_000 / (rank + 1) / harmonic;
    expect(Math.abs(counts.get(rank)! - expected)).toBeLessThan(5 * Math.sqrt(expected));
  }
});
