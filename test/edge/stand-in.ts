/** The stand-in for the GPU backend, as tests see it: how it can behave, what it tells. Its server is stand-in-server.ts. */
import type { ServingConfig } from '../../shared/contract/config.ts';
import type { HeadAds } from '../../shared/contract/head.ts';
import type { Candidate, RetrieveRequest } from '../../shared/contract/retrieve.ts';
import type { KillList } from '../../shared/contract/takedown.ts';

export const TEST_KEYS = 'test:0123456789abcdef-test-secret';

export interface Behaviour {
  /** `hold-once`: the next call is held, those after it are answered. */
  retrieve: 'ok' | 'hold' | 'hold-once' | 'hang' | 'refuse' | 'garbage' | 'page' | 'drop';
  /** SHA-256 of its student: a vector of another is refused. */
  student?: string;
  config: ServingConfig | Record<string, unknown> | 'hang' | 'fail';
  killList: KillList | 'hang' | 'fail';
  head: HeadAds;
  /** `cut`: the events are stored, and the connection breaks before the answer. */
  events: 'ok' | 'fail' | 'hang' | 'cut';
  /** Ids of events that are refused for good. */
  reject: string[];
  /** Said in the headers of every answer. */
  news: { configVersion: number | null; generation: number | null };
  candidates: Candidate[];
}

export interface Told {
  /** Retrieve requests, in order. */
  retrieved: Pick<RetrieveRequest, 'query' | 'plan' | 'market' | 'locale' | 'deadlineMs' | 'vector'>[];
  configCalls: number;
  killListCalls: number;
  /** Ids of events that were stored. */
  stored: string[];
  /** Exposures told to be missing, as `impression experiment/arm`. */
  lost: string[];
  /** Bodies of `POST /v1/events`, in order, stored or not. */
  batches: { id: string; type: string; [field: string]: unknown }[][];
  unsigned: number;
  /** Calls held now. */
  held: number;
  /** Retrieve calls whose caller left before the answer. */
  left: number;
}

/** Five ads of five advertisers; bids fall, relevance rises. */
export const CANDIDATES: Candidate[] = Array.from({ length: 5 }, (_, i) => ({
  adId: `ad-${i + 1}`,
  advertiserId: `advertiser-${i + 1}`,
  campaignId: `campaign-${i + 1}`,
  title: `Running shoes ${i + 1}`,
  description: 'Light, and made for the road.',
  displayUrl: `shop${i + 1}.example`,
  landingUrl: `https://shop${i + 1}.example/shoes?from=ads#top`,
  bidMicros: 900_000 - 100_000 * i,
  relevance: 0.5 + 0.1 * i,
  sources: [{ retriever: 'lexical', rank: i + 1, score: 5 - i }],
}));

/** {@link CANDIDATES} as ads of the head, in two markets, among others, so that their words tell something. */
export const HEAD: HeadAds = {
  generation: 7,
  atMs: Date.now(),
  ads: [
    ...CANDIDATES.map(({ relevance: _, sources: __, ...ad }) => ({
      ...ad,
      keywords: ['trainers'],
      markets: ['us', 'gb'],
    })),
    ...Array.from({ length: 45 }, (_, i) => ({
      adId: `table-${i}`,
      advertiserId: `carpenter-${i}`,
      campaignId: 'tables',
      title: 'Kitchen table',
      description: 'Made of oak.',
      displayUrl: 'tables.example',
      landingUrl: 'https://tables.example/',
      bidMicros: 500_000,
      keywords: ['table'],
      markets: ['us'],
    })),
  ],
};
