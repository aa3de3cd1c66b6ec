import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AuctionConfig, auction, type Bidder } from '../../shared/auction.ts';

const config: AuctionConfig = { reserveMicros: 100, qualityExponent: 1, slots: 3 };
const bidder = (adId: string, bidMicros: number, relevance: number, advertiserId = adId): Bidder => ({
  adId,
  advertiserId,
  bidMicros,
  relevance,
});
test('caps an advertiser and a campaign, and lets nobody bid against himself', () => {
  const ads = [
    { ...bidder('a', 1000, 1, 'p'), campaignId: 'p1' },
    { ...bidder('b', 900, 1, 'p'), campaignId: 'p1' },
    { ...bidder('c', 800, 1, 'p'), campaignId: 'p2' },
    { ...bidder('d', 700, 1, 'q'), campaignId: 'q1' },
  ];
  const page = (caps: Partial<AuctionConfig>) =>
    auction(ads, { ...config, slots: 4, ...caps }).map(({ candidate, priceMicros }) => [candidate.adId, priceMicros]);
  expect(page({})).toEqual([
    ['a', 700],
    ['d', 100],
  ]);
  expect(page({ adsPerAdvertiser: 2 }).map(([id]) => id)).toEqual(['a', 'b', 'd']);
  expect(page({ adsPerAdvertiser: 3, adsPerCampaign: 1 })).toEqual([
    ['a', 700],
    ['c', 700],
    ['d', 100],
  ]);
});

const bidders = fc.uniqueArray(
  fc.record({
    adId: fc.string({ minLength: 1 }),
    advertiserId: fc.constantFrom('p', 'q', 'r', 's', 't'),
    bidMicros: fc.nat(10_000),
    relevance: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { selector: ({ adId }) => adId },
);

test('a worked example: rank by bid x relevance, pay what keeps the position', () => {
  const slots = auction([bidder('a', 1000, 0.5), bidder('b', 600, 1), bidder('c', 400, 0.9)], config);
  expect(slots.map(({ position, candidate, priceMicros }) => [position, candidate.adId, priceMicros])).toEqual([
    [1, 'b', 500], // a's score 500 / b's relevance 1
    [2, 'a', 720], // c's score 360 / a's relevance 0.5
    [3, 'c', 100], // the reserve
  ]);
});

test('at the borders: a bid at the reserve takes part, one of nothing never, and ties go to the smaller id', () => {
  const ids = (ads: Bidder[], change: Partial<AuctionConfig> = {}) =>
    auction(ads, { ...config, ...change }).map(({ candidate }) => candidate.adId);
  expect(ids([bidder('a', 100, 1)])).toEqual(['a']);
  expect(ids([bidder('a', 0, 1)], { reserveMicros: 0 })).toEqual([]);
  expect(ids([bidder('b', 500, 1), bidder('a', 500, 1), bidder('c', 500, 1)])).toEqual(['a', 'b', 'c']);
});

test('prices are whole: up to what keeps the position, and no further than the bid', () => {
  const prices = (ads: Bidder[]) => auction(ads, config).map(({ priceMicros }) => priceMicros);
  expect(prices([bidder('a', 1000, 0.9), bidder('b', 500, 1)])).toEqual([556, 100]); // 500 / 0.9
  expect(prices([bidder('a', 214, 0.3), bidder('b', 214, 0.3)])).toEqual([214, 100]); // 214 * 0.3 / 0.3 is more, as doubles have it
});

test('one ad an advertiser, the better one; bids below the reserve stay out', () => {
  const slots = auction([bidder('a1', 500, 1, 'x'), bidder('a2', 900, 1, 'x'), bidder('b', 99, 1)], config);
  expect(slots.map(({ candidate }) => candidate.adId)).toEqual(['a2']);
});

test('prices lie between reserve and bid, scores fall, and the order of candidates does not matter', () => {
  fc.assert(
    fc.property(bidders, fc.integer(), (candidates, seed) => {
      const slots = auction(candidates, config);
      expect(slots.length).toBeLessThanOrEqual(config.slots);
      for (const [i, { candidate, priceMicros }] of slots.entries()) {
        expect(priceMicros).toBeGreaterThanOrEqual(config.reserveMicros);
        expect(priceMicros).toBeLessThanOrEqual(candidate.bidMicros);
        const next = slots[i + 1]?.candidate;
        if (next !== undefined)
          expect(candidate.bidMicros * candidate.relevance).toBeGreaterThanOrEqual(next.bidMicros * next.relevance);
      }
      const shuffled = candidates.toSorted((a, b) => (a.adId + seed < b.adId + seed ? 1 : -1));
      expect(auction(shuffled, config)).toEqual(slots);
    }),
  );
});

/** The page by the rules, one ad after the other: who is best of those left enters while the caps let it. */
function pageOf(candidates: readonly Bidder[], config: AuctionConfig) {
  const { reserveMicros, qualityExponent, slots, adsPerAdvertiser = 1, adsPerCampaign = adsPerAdvertiser } = config;
  const scoreOf = ({ bidMicros, relevance }: Bidder) => bidMicros * relevance ** qualityExponent;
  const isBetter = (a: Bidder, b: Bidder) => scoreOf(a) > scoreOf(b) || (scoreOf(a) === scoreOf(b) && a.adId < b.adId);
  const entrants: Bidder[] = [];
  let left = candidates.filter((ad) => ad.bidMicros >= reserveMicros && ad.relevance ** qualityExponent > 0);
  while (left.length > 0) {
    const best = left.reduce((a, b) => (isBetter(b, a) ? b : a));
    left = left.filter((ad) => ad !== best);
    const alike = (of: (ad: Bidder) => unknown) => entrants.filter((ad) => of(ad) === of(best)).length;
    if (alike((ad) => ad.advertiserId) < adsPerAdvertiser && alike((ad) => ad.campaignId) < adsPerCampaign)
      entrants.push(best);
  }
  const rivalOf = (i: number) => entrants.slice(i + 1).find((ad) => ad.advertiserId !== entrants[i]!.advertiserId);
  return entrants
    .slice(0, slots)
    .map((candidate, i) => ({ candidate, rivalScore: scoreOf(rivalOf(i) ?? bidder('', 0, 0)) }));
}

test('any page is that of the rules, and no price is higher than what keeps the position', () => {
  const ads = fc.uniqueArray(
    fc
      .record({
        adId: fc.string({ minLength: 1, maxLength: 2 }),
        advertiserId: fc.constantFrom('p', 'q', 'r'),
        campaign: fc.nat(2),
        bidMicros: fc.oneof(fc.nat(10_000), fc.constantFrom(300, 600)),
        relevance: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.25, 0.5, 1)),
      })
      .map(({ campaign, ...ad }) => ({ ...ad, campaignId: `${ad.advertiserId}${campaign}` })),
    { selector: ({ adId }) => adId, maxLength: 12 },
  );
  const anyConfig = fc.record(
    {
      reserveMicros: fc.constantFrom(1, 300, 3_000),
      qualityExponent: fc.constantFrom(0, 0.5, 1, 2),
      slots: fc.integer({ min: 1, max: 10 }),
      adsPerAdvertiser: fc.integer({ min: 1, max: 4 }),
      adsPerCampaign: fc.integer({ min: 1, max: 3 }),
    },
    { requiredKeys: ['reserveMicros', 'qualityExponent', 'slots'] },
  );
  fc.assert(
    fc.property(ads, anyConfig, (candidates, config) => {
      const slots = auction(candidates, config);
      const page = pageOf(candidates, config);
      expect(slots.map(({ candidate }) => candidate)).toEqual(page.map(({ candidate }) => candidate));
      for (const [i, { candidate, priceMicros }] of slots.entries()) {
        const quality = candidate.relevance ** config.qualityExponent;
        const { rivalScore } = page[i]!;
        expect(priceMicros).toBeGreaterThanOrEqual(config.reserveMicros);
        if (priceMicros < candidate.bidMicros) expect(priceMicros * quality).toBeGreaterThan(rivalScore * (1 - 1e-9));
        if (priceMicros > config.reserveMicros)
          expect((priceMicros - 1) * quality).toBeLessThan(rivalScore * (1 + 1e-9));
      }
    }),
    { seed: 12, numRuns: 500 },
  );
});

test('a bid just above the price keeps the position', () => {
  fc.assert(
    fc.property(bidders, (candidates) => {
      for (const { candidate, priceMicros, position } of auction(candidates, config)) {
        // A sibling ad of the same advertiser could take over instead, so leave siblings out.
        const others = candidates.filter((c) => c === candidate || c.advertiserId !== candidate.advertiserId);
        const lower = others.map((c) => (c === candidate ? { ...c, bidMicros: priceMicros + 1 } : c));
        const again = auction(lower, config).find((slot) => slot.candidate.adId === candidate.adId);
        expect(again?.position).toBeLessThanOrEqual(position);
      }
    }),
  );
});

test('no candidates, no slots', () => expect(auction([], config)).toEqual([]));
