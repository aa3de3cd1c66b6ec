import { describe, expect, it } from 'vitest';
import { mistype, paraphrase, reorder, shoppingPhrase } from '../../marketplace/phrasing.ts';
import { createRandom } from '../../marketplace/random.ts';

const random = createRandom(1, 'phrasing');
const many = <T>(make: () => T) => Array.from({ length: 300 }, make);

/** Damerau-Levenshtein distance (optimal string alignment). */
function edits(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j++) d[0]![j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      d[i]![j] = Math.min(d[i - 1]![j]! + 1, d[i]![j - 1]! + 1, d[i - 1]![j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        d[i]![j] = Math.min(d[i]![j]!, d[i - 2]![j - 2]! + 1);
      }
    }
  }
  return d[a.length]![b.length]!;
}

describe('mistype', () => {
  it('makes at most one slip and keeps the first letters', () => {
    for (const typo of many(() => mistype('leather sofa', random)!)) {
      expect(edits('leather sofa', typo)).toBeLessThanOrEqual(1);
      expect(typo[0]).toMatch(/[le]/);
    }
  });

  it('leaves short words alone', () => expect(mistype('red hat', random)).toBeUndefined());
});

describe('reorder', () => {
  it('keeps the words', () => {
    for (const query of many(() => reorder('red leather sofa', random)!)) {
      expect(query.split(' ').sort()).toEqual(['leather', 'red', 'sofa']);
    }
  });

  it('has nothing to do with one word', () => expect(reorder('sofa', random)).toBeUndefined());
});

describe('shoppingPhrase', () => {
  it('always names the thing, and only things that can be counted in the plural', () => {
    for (const query of many(() => shoppingPhrase({ text: 'sofa', countable: true }, random)))
      expect(query).toContain('sofa');
    for (const query of many(() => shoppingPhrase({ text: 'rice', countable: false }, random))) {
      expect(query).toMatch(/\brice\b/);
    }
  });
});

describe('paraphrase', () => {
  it('uses words of the gloss in their order and never the name', () => {
    const gloss = 'an upholstered seat (or sofa) for more than one heavy sitting person';
    const inOrder = ['upholstered', 'seat', 'heavy', 'sitting', 'person'];
    for (const query of many(() => paraphrase(gloss, ['sofa', 'couch'], random)!)) {
      const places = query.split(' ').map((word) => inOrder.indexOf(word));
      expect(places).not.toContain(-1);
      expect(places).toEqual([...places].sort((a, b) => a - b));
    }
  });

  it('gives up on a short gloss', () => expect(paraphrase('a big sofa', ['sofa'], random)).toBeUndefined());
});
