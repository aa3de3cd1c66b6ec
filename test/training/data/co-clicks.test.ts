/** Co-click edges: only between queries that share an ad, in proportion to the ad's weight, bounded an ad. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coClicks } from '../../../training/data/co-clicks.ts';
import type { ClickedQuery } from '../../../training/data/pairs.ts';
import { seeded } from '../../../training/data/seeded.ts';

const query = (...ads: readonly (readonly [number, number])[]): ClickedQuery => ({
  text: 'q',
  market: 'us',
  ads: ads.map(([row, weight]) => ({ row, weight })),
});
const counted = (draws: readonly (number | undefined)[]) =>
  draws.reduce(
    (counts, other) => counts.set(other, (counts.get(other) ?? 0) + 1),
    new Map<number | undefined, number>(),
  );

describe('coClicks', () => {
  it('walks to a query that shares an ad, by the weight of the ad, and nowhere from a query that is alone', () => {
    // 0 shares ad 7 with 1 and ad 8 with 2 and 3; 4 is alone with ad 9.
    const queries = [query([7, 0.3], [8, 0.1], [5, 9]), query([7, 1]), query([8, 1]), query([8, 1]), query([9, 1])];
    const graph = coClicks(queries, { perAd: 8, random: seeded(1) });
    const random = seeded(2);
    const counts = counted(Array.from({ length: 4_000 }, () => graph.neighbour(0, random)));
    expect([...counts.keys()].sort()).toEqual([1, 2, 3]);
    expect(counts.get(1)! / 4_000).toBeCloseTo(0.75, 1);
    expect(counts.get(2)! / 4_000).toBeCloseTo(0.125, 1);
    expect(graph.neighbour(4, random)).toBeUndefined();
    expect([graph.related(0, 1), graph.related(0, 3), graph.related(1, 2), graph.related(4, 0)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('holds an even sample of an ad that everybody clicks', () => {
    const queries = Array.from({ length: 200 }, () => query([1, 1]));
    const halves = Array.from({ length: 100 }, (_, seed) => {
      const graph = coClicks(queries, { perAd: 4, random: seeded('held', seed) });
      const random = seeded('drawn', seed);
      const near = new Set(Array.from({ length: 60 }, () => graph.neighbour(0, random)));
      expect(near.size).toBeLessThanOrEqual(4);
      return [...near].filter((other) => other! < 100).length / near.size;
    });
    expect(halves.reduce((a, b) => a + b) / halves.length).toBeCloseTo(0.5, 1);
  });

  it('never leaves the related ones, and is the same each time', () => {
    const queries = fc.array(
      fc
        .uniqueArray(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 4 })
        .map((rows) => query(...rows.map((row) => [row, 1 + row] as const))),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(queries, fc.integer({ min: 1, max: 5 }), (all, perAd) => {
        const walk = () => {
          const graph = coClicks(all, { perAd, random: seeded('held') });
          const random = seeded('walk');
          return all.map((_, i) => graph.neighbour(i, random));
        };
        const graph = coClicks(all, { perAd, random: seeded('held') });
        const found = walk();
        found.forEach((other, i) => {
          if (other === undefined) return;
          expect(other).not.toBe(i);
          expect(graph.related(i, other)).toBe(true);
        });
        expect(walk()).toEqual(found);
      }),
    );
  });
});
