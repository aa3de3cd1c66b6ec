import { expect, it, test } from 'vitest';
import { coverage, singular, TERMS_VERSION, terms, termWeight } from '../../shared/coverage.ts';

// Who changes an answer raises TERMS_VERSION: stored indices and fitted relevance maps were made with these.
test.each([
  // Harman's three rules and their exceptions.
  ['parties', 'party'],
  ['heroes', 'heroes'],
  ['houses', 'house'],
  ['shoes', 'shoes'],
  ['cats', 'cat'],
  ['glass', 'glass'],
  ['virus', 'virus'],
  ['gas', 'gas'],
  ['bees', 'bees'],
  ['reggaes', 'reggaes'],
  ['doggeies', 'doggeies'],
  // The e that only the plural has, and that of the few singulars that end so.
  ['dresses', 'dress'],
  ['dishes', 'dish'],
  ['watches', 'watch'],
  ['boxes', 'box'],
  ['quizzes', 'quizz'],
  ['prizes', 'prize'],
  ['axe', 'ax'],
])('%s is indexed as %s', (word, term) => expect([singular(word), TERMS_VERSION]).toEqual([term, 2]));

it('takes each word of a text once, and none that says nothing', () => {
  expect(terms('the red shoes, and red café-chairs')).toEqual(['red', 'shoes', 'cafe', 'chair']);
  expect(terms('what a sofa | + 1 lamp\nor\r\ntable\tred')).toEqual(['sofa', '1', 'lamp', 'table', 'red']);
});

it.each([
  ['Crème', 'creme'],
  ['Ελλάδα', 'ελλαδα'],
  ['ёлка', 'елка'],
  ['שָׁלוֹם', 'שלום'],
  ['مُدَرِّس', 'مدرس'],
])('frees %s of accents and points', (word, term) => expect(terms(word)).toEqual([term]));

it.each(['किताब', 'বই', 'ที่นอน', 'ガス', '김치'])('leaves the marks of %s, which are letters', (word) =>
  expect(terms(word.normalize('NFD'))).toEqual([word]),
);

it('weighs a term by the probabilistic idf, which is never negative', () => {
  expect(termWeight(2, 0)).toBeCloseTo(Math.log(6), 12);
  expect(termWeight(10, 3)).toBeCloseTo(Math.log(1 + 7.5 / 3.5), 12);
  expect(termWeight(2, 2)).toBeGreaterThan(0);
});

it('is the share of the weight that is met, by how sure each match is; of no terms, nothing', () => {
  const weights = new Map([
    ['red', 1],
    ['sofa', 3],
  ]);
  expect(coverage(weights, (term) => (term === 'sofa' ? 0.6 : 0))).toBeCloseTo(0.45, 12);
  expect(coverage(new Map(), () => 1)).toBe(0);
});
