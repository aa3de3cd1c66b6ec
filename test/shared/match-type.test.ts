/** The golden table of match types, close variants and negatives, and what holds for any words. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closeForm, literalForm, MatchType, matches } from '../../shared/match-type.ts';
import { normalize } from '../../shared/text.ts';
import golden from '../golden/match-types.json' with { type: 'json' };

describe.each([
  ['keyword', golden.positive, closeForm],
  ['negative keyword', golden.negative, literalForm],
] as const)('a %s', (_kind, cases, form) => {
  test.each(cases)('"$keyword" and the query "$query": $rule', ({ keyword, query, locale, matches: expected }) => {
    const found = MatchType.options.filter((match) => matches(form(keyword), form(normalize(query, locale)), match));
    expect(found).toEqual(expected);
  });
});

const word = fc.constantFrom(
  'shoe',
  'shoes',
  'red',
  'running',
  'the',
  'for',
  'to',
  'from',
  "men's",
  'boxes',
  'ÉTÉ',
  'Iğdır',
  'Ёлка',
  'ガス',
);
const phrase = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join(' '));

test.each([closeForm, literalForm])('%o: what a narrower type matches, a wider one matches', (form) => {
  fc.assert(
    fc.property(phrase, phrase, (keyword, query) => {
      const [exact, wide, broad] = MatchType.options.map((match) => matches(form(keyword), form(query), match));
      expect(!exact || wide).toBe(true);
      expect(!wide || broad).toBe(true);
    }),
  );
});

test('words of order and negation are never left out, function words always, and nothing that is no word counts', () => {
  const matchesExactly = (a: string, b: string) => matches(closeForm(a), closeForm(b), 'exact');
  const between = (word: string, swapped = false) => (swapped ? `milk ${word} tea` : `tea ${word} milk`);
  for (const word of 'to from with without no not non vs versus than before after into onto off under over'.split(
    ' ',
  )) {
    expect(matchesExactly(between(word), 'tea milk'), word).toBe(false);
    expect(matchesExactly(between(word), between(word, true)), word).toBe(false);
  }
  for (const word of [...'a an the and or of for in on at by is your this do can'.split(' '), '+', '|', '💥'])
    for (const form of [between(word), between(word, true)]) expect(matchesExactly(form, 'tea milk'), word).toBe(true);
});

test('stress is no part of a Cyrillic vowel', () => {
  for (const vowel of 'аеиоуыэюяєі')
    for (const stress of ['\u0300', '\u0301'])
      expect(closeForm(`с${vowel}${stress}р`)).toEqual(closeForm(`с${vowel}р`));
});

test('every text matches itself, and a form is not changed by normalisation', () => {
  fc.assert(
    fc.property(phrase, (text) => {
      for (const form of [closeForm, literalForm]) {
        expect(form(normalize(text))).toEqual(form(text));
        for (const match of MatchType.options) expect(matches(form(text), form(text), match)).toBe(true);
      }
    }),
  );
});

test('the closest variants of an unordered keyword match each other exactly, both ways', () => {
  fc.assert(
    fc.property(phrase, phrase, (a, b) => {
      expect(matches(closeForm(a), closeForm(b), 'exact')).toBe(matches(closeForm(b), closeForm(a), 'exact'));
    }),
  );
});
