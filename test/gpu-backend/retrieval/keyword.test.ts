/** The keyword retriever and the negatives against the rules applied to every ad, one after the other. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeywordIndex } from '../../../gpu-backend/retrieval/keyword.ts';
import { NegativeIndex } from '../../../gpu-backend/retrieval/negatives.ts';
import { PhraseIndex } from '../../../gpu-backend/retrieval/phrase-index.ts';
import type { Keyword } from '../../../shared/contract/keyword.ts';
import { closeForm, literalForm, MatchType, matches } from '../../../shared/match-type.ts';

const text = fc
  .array(fc.constantFrom('shoe', 'shoes', 'red', 'running', 'the', 'to', 'trail', 'ring'), {
    minLength: 1,
    maxLength: 4,
  })
  .map((words) => words.join(' '));
const keyword: fc.Arbitrary<Keyword> = fc.record(
  { text, match: fc.constantFrom(...MatchType.options), bidMicros: fc.integer({ min: 1, max: 9 }) },
  { requiredKeys: ['text', 'match'] },
);
const catalogue = fc.array(fc.array(keyword, { maxLength: 4 }), { maxLength: 12 });
const AD_BID = 5;
const adOf = (slot: number) => ({ id: `ad-${String(slot).padStart(3, '0')}`, bidMicros: AD_BID });

/** What each ad's best matching keyword is worth, by the rules alone. */
function oracle(ads: readonly (readonly Keyword[])[], query: string) {
  const asked = closeForm(query);
  return ads
    .flatMap((keywords, slot) =>
      keywords
        .filter((booked) => matches(closeForm(booked.text), asked, booked.match))
        .map((booked) => {
          const form = closeForm(booked.text);
          const share = shareOf(form.words, asked.words);
          const score = matches(form, asked, 'exact') ? 3 : matches(form, asked, 'phrase') ? 1 + share : share;
          return { slot, score, bidMicros: booked.bidMicros ?? AD_BID, match: booked.match };
        })
        .sort((a, b) => b.score - a.score || b.bidMicros - a.bidMicros || width(a) - width(b))
        .slice(0, 1),
    )
    .sort((a, b) => b.score - a.score || b.bidMicros - a.bidMicros || a.slot - b.slot);
}
/** Of the query's words, those that the phrase has, each as often as both say it. */
const shareOf = (phrase: readonly string[], query: readonly string[]) => {
  const times = (words: readonly string[], word: string) => words.filter((other) => other === word).length;
  const common = [...new Set(query)].map((word) => Math.min(times(phrase, word), times(query, word)));
  return common.reduce((sum, count) => sum + count, 0) / query.length;
};
const plain = ({ slot, score, bidMicros, match }: ReturnType<typeof oracle>[number]) => ({
  ...{ slot, score, bidMicros, match },
});
const width = ({ match }: { match: MatchType }) => MatchType.options.indexOf(match);

test('phrases that match come each once, at the narrowest type, whenever they were added', () => {
  const texts = fc.array(text, { maxLength: 12 });
  fc.assert(
    fc.property(texts, texts, text, text, (first, second, one, other) => {
      const index = new PhraseIndex(closeForm);
      const added = new Map<number, string>();
      for (const [some, query] of [
        [first, one],
        [second, `${other} ${one}`],
      ] as const) {
        for (const phrase of some) added.set(index.add(phrase), phrase);
        const asked = closeForm(query);
        const expected = [...added].flatMap(([phrase, own]) => {
          const form = closeForm(own);
          const narrowest = MatchType.options.find((match) => matches(form, asked, match));
          return narrowest === undefined ? [] : { phrase, narrowest, share: shareOf(form.words, asked.words) };
        });
        const byNumber = (a: { phrase: number }, b: { phrase: number }) => a.phrase - b.phrase;
        expect(index.matching(query).sort(byNumber)).toEqual(expected.sort(byNumber));
      }
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('phrases filed in turns match as those that a query files, also those that come or go in between', async () => {
  const words = (i: number) => `word${i % 97} word${i % 89} word${i}`;
  const queries = Array.from({ length: 40 }, (_, i) => words(211 * i));
  const count = 5_000; // more than a turn files
  const settled = new PhraseIndex(closeForm);
  for (let i = 0; i < count; i++) settled.add(words(i));
  const settling = settled.settle();
  settled.remove(words(422));
  settled.remove(words(4_999));
  settled.add(words(count));
  await settling;
  const asked = new PhraseIndex(closeForm);
  for (let i = 0; i <= count; i++) asked.add(words(i));
  asked.remove(words(422));
  asked.remove(words(4_999));
  const during = new PhraseIndex(closeForm);
  for (let i = 0; i <= count; i++) during.add(words(i));
  const rest = during.settle();
  during.remove(words(422));
  during.remove(words(4_999));
  for (const query of queries) expect(during.matching(query)).toEqual(asked.matching(query));
  await rest;
  for (const query of [...queries, words(4_999), words(count)]) {
    expect(settled.matching(query)).toEqual(asked.matching(query));
    expect(during.matching(query)).toEqual(asked.matching(query));
  }
});

test('finds what the rules find, in their order, also after changes', () => {
  fc.assert(
    fc.property(
      catalogue,
      catalogue,
      text,
      fc.integer({ min: 0, max: 12 }),
      fc.nat(4),
      (before, after, query, limit, gone) => {
        const index = new KeywordIndex();
        for (const [slot, keywords] of before.entries()) index.put(slot, keywords);
        index.search(query, { limit, accept: () => true, adOf });
        const isGone = (slot: number) => gone === 0 || slot % gone === 0;
        for (const [slot, keywords] of before.entries()) if (isGone(slot)) index.remove(slot, keywords);
        for (const [slot, keywords] of after.entries()) index.put(slot, keywords);
        const now = Array.from({ length: 12 }, (_, slot) => [
          ...(isGone(slot) ? [] : (before[slot] ?? [])),
          ...(after[slot] ?? []),
        ]);
        const accept = (slot: number) => slot % 5 !== 0;
        const expected = oracle(now, query).filter(({ slot }) => accept(slot));
        const also = new Set([1, 2]);
        const { hits, booked } = index.search(query, { limit, accept, adOf, also });
        expect(hits.map(plain)).toEqual(expected.slice(0, limit));
        const wanted = expected.filter(({ slot }, i) => i < limit || also.has(slot));
        expect([...booked.values()].map(plain).sort((a, b) => a.slot - b.slot)).toEqual(
          wanted.sort((a, b) => a.slot - b.slot),
        );
      },
    ),
    { seed: 1 },
  );
});

test('a keyword booked in several ways is the narrowest that matches, in whatever order they are kept', () => {
  const [other, broad, exact, close] = [
    { text: 'shoe', match: 'phrase' },
    { text: 'shoe', match: 'broad' },
    { text: 'shoe', match: 'exact' },
    { text: 'shoes', match: 'phrase' },
  ] as const;
  for (const keywords of [
    [broad, exact, close],
    [close, exact, broad],
    [exact, close, broad],
  ]) {
    const index = new KeywordIndex();
    const found = () =>
      index.search('shoe', { limit: 9, accept: () => true, adOf, also: new Set([1]) }).booked.get(1)!.match;
    index.put(0, [other]);
    index.put(1, keywords);
    expect(found()).toBe('exact');
    index.remove(0, [other]); // the last takes its place
    expect(found()).toBe('exact');
  }
});

test('phrases that nobody has any more as a negative are forgotten', () => {
  const index = new NegativeIndex<string>();
  for (let day = 0; day < 100; day++) {
    const changing = [`shoe ${day}`, `red shoe ${day}`, 'red', 'red'];
    for (const owner of ['one', 'other'])
      index.put(
        owner,
        changing.map((text) => ({ text, match: 'broad' as const })),
      );
    if (day % 2 === 0) expect(index.against(`shoe ${day}`)?.('one')).toBe(true);
    expect(index.against(`shoe ${day - 1}`)).toBeUndefined();
    expect(index.phrases).toBe(3);
  }
  index.put('one', undefined);
  expect([index.phrases, index.against('red')?.('other')]).toEqual([3, true]);
  index.put('other', []);
  expect([index.phrases, index.against('red')]).toEqual([0, undefined]);
});

test('negatives hold off what the rules hold off, also after changes', () => {
  fc.assert(
    fc.property(catalogue, catalogue, text, (before, after, query) => {
      const index = new NegativeIndex<number>();
      for (const [slot, negatives] of before.entries()) index.put(slot, negatives);
      index.against(query);
      for (const slot of before.keys()) index.put(slot, undefined);
      for (const [slot, negatives] of after.entries()) index.put(slot, negatives);
      const against = index.against(query);
      const asked = literalForm(query);
      for (const [slot, negatives] of after.entries())
        expect(against?.(slot) ?? false).toBe(
          negatives.some(({ text, match }) => matches(literalForm(text), asked, match)),
        );
    }),
    { seed: 2 },
  );
});

test('of a keyword that an ad booked twice the higher bid counts, until it is gone', () => {
  const index = new KeywordIndex();
  const twice: Keyword[] = [
    { text: 'shoes', match: 'exact', bidMicros: 9 },
    { text: 'shoes', match: 'exact', bidMicros: 2 },
    { text: 'shoes', match: 'exact' },
  ];
  const once: Keyword[] = [{ text: 'shoes', match: 'exact' }];
  index.put(3, once);
  index.put(7, twice);
  index.put(8, once);
  const bids = () =>
    index.search('shoes', { limit: 5, accept: () => true, adOf }).hits.map(({ slot, bidMicros }) => [slot, bidMicros]);
  expect(bids()).toEqual([
    [7, 9],
    [3, AD_BID],
    [8, AD_BID],
  ]);
  index.remove(3, once);
  index.remove(7, twice);
  expect(bids()).toEqual([[8, AD_BID]]);
});

test('a keyword bids for itself, and the narrowest match decides which one', () => {
  const index = new KeywordIndex();
  index.put(7, [
    { text: 'shoes', match: 'broad', bidMicros: 9 },
    { text: 'running shoes', match: 'exact', bidMicros: 2 },
    { text: 'trail shoes', match: 'phrase' },
  ]);
  const bid = (query: string) => index.search(query, { limit: 5, accept: () => true, adOf }).hits[0];
  expect(bid('running shoes')).toMatchObject({ match: 'exact', bidMicros: 2, score: 3, coverage: 1 });
  expect(bid('red trail shoes')).toMatchObject({ match: 'phrase', bidMicros: AD_BID, coverage: 2 / 3 });
  expect(bid('red shoes')).toMatchObject({ match: 'broad', bidMicros: 9, coverage: 1 / 2 });
  expect(bid('sandals')).toBeUndefined();
});
