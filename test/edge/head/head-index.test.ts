/** The ads of the head, searched: what is found, in which order, and how much is looked at. */
import { expect, it } from 'vitest';
import { HeadIndex } from '../../../edge/head/head-index.ts';
import type { HeadAd } from '../../../shared/contract/head.ts';

const PLAN = { k: 3, minRelevance: 0.1 };

const ad = (adId: string, title: string, more: Partial<HeadAd> = {}): HeadAd => ({
  adId,
  advertiserId: 'shop',
  campaignId: 'campaign',
  title,
  description: '',
  displayUrl: 'shop.example',
  landingUrl: 'https://shop.example/',
  bidMicros: 1,
  keywords: [],
  markets: ['us'],
  ...more,
});
const indexOf = (ads: HeadAd[]) => new HeadIndex({ generation: 7, atMs: 1, ads });
const idsOf = (found: { adId: string }[]) => found.map(({ adId }) => adId);

it('finds the best of the market, ties by id, and none that holds the query off, which the next one stands in for', () => {
  const index = indexOf([
    ad('d', 'red shoes'),
    ad('c', 'red shoes'),
    ad('b', 'red shoes', { negatives: [{ text: 'Shoes', match: 'broad' }] }),
    ad('a', 'red shoes', { negatives: [{ text: 'shoes red', match: 'phrase' }] }),
    ad('e', 'red shoes'),
    ad('f', 'red shoes', { markets: ['de'] }),
    ad('g', 'tents'),
  ]);
  const found = index.search('red shoes', 'us', PLAN);
  expect(idsOf(found)).toEqual(['a', 'c', 'd']);
  expect(found.map(({ sources }) => sources[0]!.rank)).toEqual([1, 2, 3]);
  expect(Object.keys(found[0]!)).not.toContain('negatives');
  expect(idsOf(index.search('shoes red', 'us', { ...PLAN, k: 1 }))).toEqual(['c']);
});

it('reads the negative keywords of no ad that it cannot show, or has no place for', () => {
  const unread = (each: HeadAd) =>
    Object.defineProperty(each, 'negatives', {
      get: () => {
        throw new Error(`the negative keywords of ${each.adId} were read`);
      },
    });
  const negatives = [{ text: 'boots', match: 'broad' as const }];
  const index = indexOf([
    unread(ad('a', 'tents')),
    unread(ad('b', 'red shoes', { markets: ['de'] })),
    ...['c', 'd', 'e'].map((id) => ad(id, 'red shoes', { negatives })),
    unread(ad('f', 'red shoes')),
  ]);
  expect(idsOf(index.search('red shoes', 'us', PLAN))).toEqual(['c', 'd', 'e']);
});

it('holds an ad off by its own match type, also of a text that another ad has', () => {
  const without = (match: 'broad' | 'exact') => ({ negatives: [{ text: 'shoes', match }] });
  const index = indexOf([ad('a', 'red shoes', without('broad')), ad('b', 'red shoes', without('exact'))]);
  expect(idsOf(index.search('red shoes', 'us', PLAN))).toEqual(['b']);
  expect(idsOf(index.search('shoes', 'us', PLAN))).toEqual([]);
});
