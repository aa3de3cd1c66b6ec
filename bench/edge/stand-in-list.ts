/** The candidate list that measurements use for every query: forty ads, as many as the default plan asks for. */
import type { Candidate, RetrieveResponse } from '../../shared/contract/retrieve.ts';

const candidate = (i: number): Candidate => ({
  adId: `ad-${i}`,
  advertiserId: `advertiser-${i}`,
  campaignId: `campaign-${i}`,
  title: `Running shoes of the kind number ${i}`,
  description: 'Light, made for the road and for people who come home late and wet.',
  displayUrl: `shop${i}.example/shoes`,
  landingUrl: `https://shop${i}.example/shoes/running?model=${i}`,
  bidMicros: 900_000 - 10_000 * i,
  relevance: 0.5 + 0.01 * i,
  sources: [
    { retriever: 'lexical', rank: i + 1, score: 40 - i },
    { retriever: 'dense', rank: 40 - i, score: 0.9 - i / 100 },
  ],
});

export const LIST: RetrieveResponse = {
  generation: 1,
  model: 'stand-in',
  spaceId: '0123456789abcdef',
  candidates: Array.from({ length: 40 }, (_, i) => candidate(i)),
  timings: { totalMs: 3, encodeMs: 2, searchMs: 1 },
};
