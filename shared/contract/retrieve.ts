/** `POST /v1/retrieve`: a normalized query and a plan in, a candidate list out. This is what the edge caches. */
import * as z from 'zod';
import { Device } from '../experiment.ts';
import { MatchType } from '../match-type.ts';
import { Plan, RetrieverName } from '../plan.ts';
import { QueryVector } from '../query-vector.ts';
import { Schedule } from '../schedule.ts';
import { Locale, Market } from './names.ts';

/** Longest that a caller may wait, in milliseconds. */
export const MAX_DEADLINE_MS = 60_000;

export const RetrieveRequest = z.lazy(() =>
  z
    .strictObject({
      /** Normalized by shared/text under `normalizerVersion`. */
      query: z.string().min(1).max(1_000),
      normalizerVersion: z.int(),
      market: Market,
      locale: Locale,
      plan: Plan,
      /** The query's vector, where the caller has the backend's student; without it the backend encodes. `model_mismatch` for another student's. */
      vector: QueryVector.optional(),
      /** Milliseconds that the caller will wait. */
      deadlineMs: z.number().positive().max(MAX_DEADLINE_MS),
    })
    .meta({ id: 'RetrieveRequest' }),
);
export type RetrieveRequest = z.infer<typeof RetrieveRequest>;

export const Candidate = z
  .object({
    adId: z.string(),
    advertiserId: z.string(),
    campaignId: z.string(),
    title: z.string(),
    description: z.string(),
    displayUrl: z.string(),
    landingUrl: z.string(),
    /** The ad's bid, or that of its keyword that matches the query best. */
    bidMicros: z.int(),
    /** As what that keyword was booked; absent where none matches. */
    match: MatchType.optional(),
    /** What every request is to be checked against (edge/eligibility.ts); absent: no condition. */
    devices: z.array(Device).optional(),
    schedule: Schedule.optional(),
    /** The ad's flags of policy, its campaign's and its advertiser's: a rule that comes later holds for them. Absent: none. */
    policyFlags: z.array(z.string()).optional(),
    /** Calibrated probability of being relevant, 0 to 1. */
    relevance: z.number().min(0).max(1),
    /** Where it was found: 1-based rank and raw score of each retriever. */
    sources: z.array(z.object({ retriever: RetrieverName, rank: z.int(), score: z.number() })),
  })
  .meta({ id: 'Candidate' });
export type Candidate = z.infer<typeof Candidate>;

/**
 * Version of what caches keep of an answer, in their keys: a list that was stored before a deployment is read after it.
 * Raised with every change of what the edge reads of one (test/shared/candidate-lists.test.ts).
 */
export const LIST_VERSION = 2;

export const RetrieveResponse = z
  .object({
    generation: z.int(),
    model: z.string(),
    spaceId: z.string(),
    candidates: z.array(Candidate),
    /** Whose vector of the query was searched with; absent where none was. */
    encodedBy: z.enum(['student', 'teacher']).optional(),
    timings: z.object({ totalMs: z.number(), encodeMs: z.number(), searchMs: z.number() }),
  })
  .meta({ id: 'RetrieveResponse' });
export type RetrieveResponse = z.infer<typeof RetrieveResponse>;

/** Headers of every backend answer, so that the edge learns of news with the traffic. */
export const NEWS_HEADERS = { configVersion: 'harness-config-version', generation: 'harness-generation' } as const;
