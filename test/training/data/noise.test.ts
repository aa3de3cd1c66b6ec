import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withNoise, withoutWord } from '../../../training/data/noise.ts';
import { seeded } from '../../../training/data/seeded.ts';

describe('withNoise', () => {
  const texts = fc
    .array(fc.stringMatching(/^[a-z]{1,9}$/), { minLength: 1, maxLength: 8 })
    .map((words) => words.join(' '));

  it('takes one word out of four or more, any of them, and none out of fewer', () => {
    fc.assert(
      fc.property(texts, fc.integer(), (text, seed) => {
        const words = text.split(' ');
        const left = withoutWord(text, seeded(seed)).split(' ');
        if (words.length < 4) expect(left).toEqual(words);
        else expect(words.map((_, i) => words.toSpliced(i, 1))).toContainEqual(left);
      }),
    );
    const random = seeded(1);
    const left = new Set(Array.from({ length: 60 }, () => withoutWord('a b c d', random)));
    expect(left).toEqual(new Set(['b c d', 'a c d', 'a b d', 'a b c']));
  });

  it('comes as often as it is asked for', () => {
    const random = seeded('noise');
    const shown = Array.from({ length: 4_000 }, () =>
      withNoise('round table with legs', { typos: 0.25, dropped: 0.5 }, random),
    );
    const dropped = shown.filter((text) => text.split(' ').length === 3);
    const slipped = shown.filter((text) => text.split(' ').some((word) => !'round table with legs'.includes(word)));
    expect(dropped.length / shown.length).toBeCloseTo(0.5, 1);
    // Some slips give what is inside another word, such as "tabl".
    expect(slipped.length / shown.length).toBeGreaterThan(0.15);
    expect(slipped.length / shown.length).toBeLessThan(0.27);
    expect(withNoise('round table with legs', {}, random)).toBe('round table with legs');
  });
});
