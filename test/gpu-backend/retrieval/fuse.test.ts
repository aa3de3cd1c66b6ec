import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuse } from '../../../gpu-backend/retrieval/fuse.ts';

const key = (slot: number) => `ad-${String(slot).padStart(4, '0')}`;
const ranking = (slots: readonly number[]) => slots.map((slot, i) => ({ slot, score: 100 - i }));

describe('fuse', () => {
  it('sums reciprocal ranks, and says where each was found', () => {
    const fused = fuse(
      [
        { retriever: 'dense', found: ranking([3, 1]) },
        { retriever: 'lexical', found: ranking([1, 2]) },
      ],
      key,
    );
    expect(fused.map(({ slot }) => slot)).toEqual([1, 3, 2]);
    expect(fused[0]).toEqual({
      slot: 1,
      score: 1 / 62 + 1 / 61,
      sources: [
        { retriever: 'dense', rank: 2, score: 99 },
        { retriever: 'lexical', rank: 1, score: 100 },
      ],
    });
  });

  it('keeps the order of a single list', () => {
    expect(fuse([{ retriever: 'lexical', found: ranking([5, 2, 9]) }], key).map(({ slot }) => slot)).toEqual([5, 2, 9]);
    expect(fuse([], key)).toEqual([]);
  });

  it('gives the same answer, to the last bit and with the same provenance, in any order of three lists', () => {
    const list = fc.uniqueArray(fc.nat(12), { maxLength: 12 });
    fc.assert(
      fc.property(list, list, list, fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (a, b, c, order) => {
        const lists = [
          { retriever: 'dense' as const, found: ranking(a) },
          { retriever: 'keyword' as const, found: ranking(b) },
          { retriever: 'lexical' as const, found: ranking(c) },
        ];
        const fused = fuse(lists, key);
        expect(
          fuse(
            order.map((i) => lists[i]!),
            key,
          ),
        ).toEqual(fused);
        for (const { slot, sources } of fused)
          expect(sources).toEqual(
            lists.flatMap(({ retriever, found }) => {
              const at = found.findIndex((entry) => entry.slot === slot);
              return at < 0 ? [] : [{ retriever, rank: at + 1, score: found[at]!.score }];
            }),
          );
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  it('holds the union once, is the same in any order of the lists, and breaks ties by key', () => {
    const list = fc.uniqueArray(fc.nat(40), { maxLength: 20 });
    fc.assert(
      fc.property(list, list, (a, b) => {
        const lists = [
          { retriever: 'dense' as const, found: ranking(a) },
          { retriever: 'lexical' as const, found: ranking(b) },
        ];
        const fused = fuse(lists, key);
        expect(fused.map(({ slot }) => slot).toSorted((x, y) => x - y)).toEqual(
          [...new Set([...a, ...b])].toSorted((x, y) => x - y),
        );
        expect(fuse(lists.toReversed(), key).map(({ slot }) => slot)).toEqual(fused.map(({ slot }) => slot));
        for (const [i, { slot, score }] of fused.slice(1).entries()) {
          const above = fused[i]!;
          expect(above.score > score || key(above.slot) < key(slot)).toBe(true);
        }
      }),
      { seed: 9, numRuns: 200 },
    );
  });
});
