/** The ads of the head, searched: what is found, in which order, and how much is looked at. */
import { expect, it, vi } from 'vitest';
import { HeadIndex } from '../../../edge/head/head-index.ts';
import type { HeadAd } from '../../../shared/contract/head.ts';
import { literalForm } from '../../../shared/match-type.ts';

vi.mock('../../../shared/match-type.ts', { spy: true });

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

it('looks at the negative keywords of no more ads than it takes, and reads each text once', () => {
  const negatives = Array.from({ length: 50 }, (_, i) => ({ text: `boots ${i}`, match: 'phrase' as const }));
  const ads = Array.from({ length: 100 }, (_, i) => ad(`ad-${String(i).padStart(3, '0')}`, 'red shoes', { negatives }));
  const looked = new Set<string>();
  for (const each of ads)
    Object.defineProperty(each, 'negatives', { get: () => looked.add(each.adId) && negatives, enumerable: false });
  const index = indexOf(ads);
  const read = vi.mocked(literalForm).mockClear();
  expect(idsOf(index.search('red shoes', 'us', PLAN))).toEqual(['ad-000', 'ad-001', 'ad-002']);
  expect([...looked]).toEqual(['ad-000', 'ad-001', 'ad-002']);
  expect(read).toHaveBeenCalledTimes(1 + negatives.length);
  index.search('red shoes', 'us', PLAN);
  expect(read).toHaveBeenCalledTimes(2 + negatives.length);
});
