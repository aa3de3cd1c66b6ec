import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { withTypo } from '../../../training/data/typos.ts';

/** Edits (left out, put in, swapped, replaced) between two words: Damerau and Levenshtein, restricted. */
function distance(a: readonly string[], b: readonly string[]): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i && j ? 0 : i + j)),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      rows[i]![j] = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        rows[i]![j] = Math.min(rows[i]![j]!, rows[i - 2]![j - 2]! + 1);
    }
  }
  return rows[a.length]![b.length]!;
}

describe('withTypo', () => {
  const words = fc.array(fc.stringMatching(/^[a-zé]{1,9}$/), { minLength: 1, maxLength: 5 });

  it('makes one edit in one longer word, whatever the text', () => {
    fc.assert(
      fc.property(words, fc.integer(), (before, seed) => {
        const after = withTypo(before.join(' '), seeded(seed)).split(' ');
        expect(after).toHaveLength(before.length);
        const changed = before.flatMap((word, i) => (word === after[i] ? [] : [i]));
        expect(changed.length).toBeLessThanOrEqual(1);
        for (const i of changed) {
          expect(before[i]!.length).toBeGreaterThanOrEqual(4);
          expect(distance([...before[i]!], [...after[i]!])).toBe(1);
        }
      }),
    );
  });

  it('makes every kind of slip, and the same ones for the same seed', () => {
    const draw = (seed: number) =>
      Array.from(
        { length: 400 },
        (
          (random) => () =>
            withTypo('shoes', random)
        )(seeded(seed)),
      );
    const slips = new Set(draw(1));
    for (const slip of ['shoe', 'shhoes', 'shose', 'shoeq']) expect(slips).toContain(slip);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(2)).not.toEqual(draw(1));
  });

  it('leaves short words alone', () => {
    expect(withTypo('tv 4k', seeded(1))).toBe('tv 4k');
  });
});
