import { describe, expect, it } from 'vitest';
import { plural, stem, titleCase, tokens } from '../../marketplace/word-forms.ts';

describe('plural', () => {
  it.each([
    ['sofa', 'sofas'],
    ['couch', 'couches'],
    ['box', 'boxes'],
    ['berry', 'berries'],
    ['toy', 'toys'],
    ['bookshelf', 'bookshelves'],
    ['ottoman', 'ottomans'],
    ['trousers', 'trousers'],
    ['pair of trousers', 'pairs of trousers'],
    ['leather sofa', 'leather sofas'],
    ['glass', 'glasses'],
  ])('%s -> %s', (singular, expected) => expect(plural(singular)).toBe(expected));
});

describe('stem', () => {
  it.each([
    ['couches', 'couch'],
    ['sofas', 'sofa'],
    ['berries', 'berry'],
    ['glass', 'glass'],
    ['bus', 'bus'],
  ])('%s -> %s', (word, expected) => expect(stem(word)).toBe(expected));
});

describe('tokens', () => {
  it('keeps letters, digits and inner apostrophes', () => {
    expect(tokens("Baker's yeast, 2 packs (dry)")).toEqual(["baker's", 'yeast', '2', 'packs', 'dry']);
  });
});

describe('titleCase', () => {
  it('leaves small words small', () => expect(titleCase('loaf of bread')).toBe('Loaf of Bread'));
});
