import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BestSlots } from '../../../gpu-backend/retrieval/best-slots.ts';

/** Order of keys that is not that of the slots. */
const key = (slot: number) => (slot * 7919) % 1009;
const before = (a: number, b: number) => key(a) < key(b);

describe('the best of many slots', () => {
  it('are those of a sort, whatever the order in which they come, with many of one score', () => {
    const any = fc.record({
      limit: fc.nat(12),
      scores: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 60 }),
      turn: fc.nat(60),
    });
    fc.assert(
      fc.property(any, ({ limit, scores, turn }) => {
        const all = scores.map((score, slot) => ({ slot, score }));
        const best = new BestSlots({ limit, before });
        for (let i = 0; i < all.length; i++) {
          const { slot, score } = all[(i + turn) % all.length]!;
          if (score >= best.floor && best.wants(slot, score)) best.add(slot, score);
        }
        const sorted = all.toSorted((a, b) => b.score - a.score || key(a.slot) - key(b.slot));
        expect(best.drain()).toEqual(sorted.slice(0, limit));
        expect(best.drain()).toEqual([]);
      }),
      { seed: 9, numRuns: 500 },
    );
  });

  it('asks the keys of those only that might get in', () => {
    let asked = 0;
    const best = new BestSlots({
      limit: 10,
      before: (a, b) => {
        asked++;
        return a < b;
      },
    });
    for (let slot = 0; slot < 10_000; slot++) {
      const score = slot < 10 ? 2 : 1;
      if (score >= best.floor && best.wants(slot, score)) best.add(slot, score);
    }
    expect(best.floor).toBe(2);
    expect(asked).toBeLessThan(100);
  });
});
