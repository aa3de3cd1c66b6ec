import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CoverageIndex, type LexicalText, lexicalText } from '../../shared/coverage-index.ts';
import { sampleAd } from '../setup/samples.ts';

const ad = (title: string, keywords = '', description = ''): LexicalText => ({ title, keywords, description });

it('weighs words by how rare they are, and a description less than a title', () => {
  const index = new CoverageIndex([
    ad('Red shoes'),
    ad('Red sofas', 'couch'),
    ad('Red lamp', '', 'beside any couch'),
    ...Array.from({ length: 30 }, (_, i) => ad(`Thing ${i}`)),
  ]);
  const found = index.search('red couch');
  expect([...found.keys()].sort()).toEqual([0, 1, 2]);
  expect(found.get(1)).toBeCloseTo(1, 12);
  expect(found.get(2)).toBeGreaterThan(found.get(0)!);
  expect(found.get(2)).toBeLessThan(1);
  // "couch" is in fewer ads than "red": most of what was searched for.
  expect(found.get(0)).toBeLessThan(0.5);
  expect(index.search('beside').get(2)).toBeCloseTo(0.6, 12);
});

it('knows the rarest word of a query that any ad has', () => {
  const index = new CoverageIndex([ad('Red shoes'), ad('Red sofas', 'couch'), ad('Lamp', '', 'beside a couch, red')]);
  expect(index.rarestTerm('red couch for nobody')).toBe('couch');
  expect(index.rarestTerm('couch red sofas')).toBe('sofa');
  expect(index.rarestTerm('nobody and nothing')).toBeUndefined();
});

it('reads the keywords of an ad one by one', () => {
  const keywords = ['red sofa', 'couch'].map((text) => ({ text, match: 'broad' as const }));
  const index = new CoverageIndex([lexicalText(sampleAd({ title: 'Thing', description: '', keywords }))]);
  expect(index.search('sofa couch').get(0)).toBe(1);
});

it('folds plurals, accents and width as queries are folded, and finds nothing for stop words', () => {
  const index = new CoverageIndex([ad('Café Chairs'), ad('ＤＲＥＳＳＥＳ')]);
  expect(index.search('cafe chair').get(0)).toBeCloseTo(1, 12);
  expect(index.search('dress').get(1)).toBeCloseTo(1, 12);
  expect(index.search('for the').size).toBe(0);
  expect(new CoverageIndex([]).search('dress').size).toBe(0);
});

it('is above 0 and at most 1, and 1 for an ad that has every word in its title', () => {
  const word = fc.constantFrom('red', 'blue', 'sofa', 'car', 'lamp', 'shoe', 'cup');
  const words = fc.array(word, { minLength: 1, maxLength: 4 }).map((list) => list.join(' '));
  fc.assert(
    fc.property(fc.array(fc.tuple(words, words, words), { maxLength: 12 }), words, (texts, query) => {
      const ads = texts.map(([title, keywords, description]) => ad(title, keywords, description));
      const found = new CoverageIndex(ads).search(query);
      for (const [place, { title, keywords, description }] of ads.entries()) {
        const has = (text: string) => query.split(' ').filter((each) => text.split(' ').includes(each));
        const any = has(`${title} ${keywords} ${description}`).length > 0;
        expect(found.has(place)).toBe(any);
        if (any) expect(found.get(place)).toBeGreaterThan(0);
        expect(found.get(place) ?? 0).toBeLessThanOrEqual(1);
        if (has(`${title} ${keywords}`).length === query.split(' ').length) expect(found.get(place)).toBeCloseTo(1, 12);
      }
    }),
  );
});
