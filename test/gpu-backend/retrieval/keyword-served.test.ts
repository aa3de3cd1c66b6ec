/** Keywords and negatives in a whole retrieval: their own source, their own bids, and what a negative holds off. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Keyword } from '../../../shared/contract/keyword.ts';
import type { RetrieverName } from '../../../shared/plan.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type SmallHouse, smallBundle, smallCatalogue, smallHouse } from '../../fixtures/small-house.ts';

const at = testFolder('keyword-served');
const ALL: RetrieverName[] = ['dense', 'keyword', 'lexical'];
const base = smallCatalogue().find(({ id }) => id === 'lamp-red')!;
const exact: Keyword = { text: 'evening glow', match: 'exact', bidMicros: 700_000 };
const booked = { ...base, id: 'booked', markets: ['us'], bidMicros: 400_000 };
let house: SmallHouse;

beforeAll(async () => {
  const ads = [
    ...smallCatalogue(),
    { ...booked, keywords: [exact, { text: 'lamp', match: 'broad' as const }] },
    { ...booked, id: 'held-off', negatives: [{ text: 'red lamp', match: 'phrase' as const }] },
  ];
  house = await smallHouse({ bundle: await smallBundle(at('bundle')), dataDir: at('data'), ads });
  await house.publisher.build();
});
afterAll(() => house.close());

const find = async (query: string, retrievers = ALL) => (await house.ask(query, { retrievers, k: 100 })).candidates;

it('finds an ad by a keyword as it was booked, and says so', async () => {
  const [first] = await find('glow of the evening', ['keyword']);
  expect(first).toMatchObject({
    adId: 'booked',
    match: 'exact',
    bidMicros: 700_000,
    relevance: 1,
    sources: [{ retriever: 'keyword', rank: 1, score: 3 }],
  });
  expect(await find('evening glow lights', ['keyword'])).toEqual([]);
});

it('lets the keyword bid that matches, whichever retriever found the ad', async () => {
  const bid = async (query: string, retrievers?: RetrieverName[]) =>
    (await find(query, retrievers)).find(({ adId }) => adId === 'booked')?.bidMicros;
  expect(await bid('evening glow', ['lexical'])).toBe(700_000);
  expect(await bid('evening glow')).toBe(700_000);
  expect(await bid('red lamp')).toBe(400_000); // by its broad keyword, which has no bid of its own
  expect(await bid('lantern', ['dense'])).toBe(400_000);
});

it('keeps an ad from a query that it excludes, whichever retriever would find it', async () => {
  for (const retriever of ALL) {
    const ids = async (query: string) => (await find(query, [retriever])).map(({ adId }) => adId);
    expect(await ids('red lamp')).not.toContain('held-off');
    expect(await ids('big red lamp')).not.toContain('held-off');
    expect(await ids('lamp red')).toContain('held-off');
  }
});

it('follows changes of keywords, bids and negatives at once, with text and without', async () => {
  const { ad } = house.catalogue.get('booked')!;
  await house.put({ ...ad, keywords: [{ ...exact, bidMicros: 900_000 }, ad.keywords[1]!] });
  expect((await find('evening glow', ['keyword']))[0]?.bidMicros).toBe(900_000);
  await house.put({ ...ad, keywords: [{ ...exact, match: 'broad' }, ad.keywords[1]!], negatives: [exact] });
  expect(await find('evening glow', ['keyword'])).toEqual([]);
  expect((await find('evening glow lights', ['keyword']))[0]?.adId).toBe('booked');
  await house.put({ ...ad, keywords: [{ text: 'other words', match: 'broad' }] });
  expect(await find('evening glow lights', ['keyword'])).toEqual([]);
  expect((await find('other words', ['keyword']))[0]?.adId).toBe('booked');
  house.remove('booked');
  expect(await find('other words', ['keyword'])).toEqual([]);
});
