/** The catalogue's ad, and the public query route of the edge. */
import * as z from 'zod';
import { AuctionConfig } from '../auction.ts';
import { Assignment, Device } from '../experiment.ts';
import { MatchType } from '../match-type.ts';
import { Micros } from '../money.ts';

const Id = z.string().regex(/^[\w.:-]{1,64}$/, 'expected 1 to 64 letters, digits and . : _ -');
export const AdId = Id;

export const Market = z.string().regex(/^[a-z]{2}$/, 'expected two lower-case letters');
export const Locale = z
  .string()
  .regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'expected a BCP 47 tag such as en or en-GB')
  .max(35);
/** Paused by the advertiser, or blocked by whoever runs the market; either is shown to nobody. */
export const AdStatus = z.enum(['active', 'paused', 'blocked']);

/** What a query must say (../match-type.ts) for a keyword to match it. */
export const Keyword = z.strictObject({
  text: z.string().min(1).max(80),
  match: MatchType,
  /** Most that a click on a query of this keyword may cost; absent: the ad's bid. Means nothing on a negative keyword. */
  bidMicros: Micros.max(1_000_000_000).optional(),
});
export type Keyword = z.infer<typeof Keyword>;

/** A query's language is the first part of its locale. */
export const Language = z.string().regex(/^[a-z]{2,3}$/, 'expected a language such as en');

/** To whom an ad may be shown; an absent or empty list is no condition. */
export const AdTerms = {
  /** Queries that must never bring the ad up. */
  negatives: z.array(Keyword).max(5_000).optional(),
  languages: z.array(Language).max(50).optional(),
  devices: z.array(Device).max(3).optional(),
  /** What the operator's rules of policy go by (accounts.ts). */
  policyFlags: z.array(Id).max(50).optional(),
};

/** An ad as an advertiser books it. */
export const Ad = z
  .strictObject({
    id: Id,
    advertiserId: Id,
    campaignId: Id,
    title: z.string().trim().min(1).max(90),
    description: z.string().trim().max(180),
    /** What is shown as the address. */
    displayUrl: z.string().min(1).max(80),
    /** Where a click goes; http or https. */
    landingUrl: z.url({ protocol: /^https?$/ }).max(2048),
    keywords: z.array(Keyword).max(100),
    markets: z.array(Market).min(1).max(50),
    /** Most that a click may cost. */
    bidMicros: Micros.max(1_000_000_000),
    dailyBudgetMicros: Micros,
    status: AdStatus,
    ...AdTerms,
  })
  .meta({ id: 'Ad' });
export type Ad = z.infer<typeof Ad>;

/** What `PATCH /v1/ads/:id` may change. */
export const AdPatch = Ad.omit({ id: true }).partial().meta({ id: 'AdPatch' });
export type AdPatch = z.infer<typeof AdPatch>;

/** An ad with, optionally, its vector from the teacher in the space named: base64 of int16, little-endian, or of int8, which is coarser. Its length does not matter. */
export const AdUpload = Ad.extend({
  vector: z
    .union([
      z.strictObject({ spaceId: z.string(), int16: z.base64() }),
      z.strictObject({ spaceId: z.string(), int8: z.base64() }),
    ])
    .optional(),
}).meta({ id: 'AdUpload' });
export type AdUpload = z.infer<typeof AdUpload>;

export const AdBatch = z.strictObject({ ads: z.array(AdUpload).min(1).max(5_000) }).meta({ id: 'AdBatch' });
export const AdBatchResult = z
  .object({
    accepted: z.int(),
    rejected: z.array(z.object({ index: z.int(), id: z.string().optional(), reason: z.string() })),
  })
  .meta({ id: 'AdBatchResult' });
export type AdBatchResult = z.infer<typeof AdBatchResult>;

/** Query string of `GET /v1/ads`; `q` is checked after normalisation, with codes of its own. */
export const AdsQuery = z
  .object({
    q: z.string({ error: 'expected a query, for example ?q=running+shoes' }),
    market: Market.optional(),
    locale: Locale.optional(),
    /** Slots wanted. */
    n: z.coerce
      .number()
      .int()
      .min(1)
      .max(AuctionConfig.shape.slots.maxValue ?? 10)
      .optional(),
    /** A signed override of experiment arms (shared/qa-override.ts); the answer is left out of every analysis. */
    qa: z.string().min(1).max(2_000).optional(),
  })
  .meta({ id: 'AdsQuery' });
export type AdsQuery = z.infer<typeof AdsQuery>;

export const CacheStatus = z.enum(['miss', 'memory', 'colo', 'kv', 'stale', 'bypass']);
export type CacheStatus = z.infer<typeof CacheStatus>;

/**
 * Rung of the resilience ladder that answered, from the top: the plan's list as ever; the same, older than it should be;
 * the same, from a second call or the second origin; ads found by their words among those of the head; none.
 */
export const Rung = z.enum(['fresh', 'stale', 'hedge', 'head', 'empty']);
export type Rung = z.infer<typeof Rung>;

export const AdsResponse = z
  .object({
    requestId: z.string(),
    query: z.object({ raw: z.string(), normalized: z.string() }),
    assignments: z.array(Assignment),
    cache: z.object({ status: CacheStatus, ageMs: z.number() }),
    generation: z.int().nullable(),
    model: z.string().nullable(),
    rung: Rung,
    slots: z.array(
      z.object({
        position: z.int(),
        adId: z.string(),
        title: z.string(),
        description: z.string(),
        displayUrl: z.string(),
        clickUrl: z.string(),
      }),
    ),
    /** Why the answer is less than usual, for example `backend_unavailable`; absent on the normal path. */
    degraded: z.object({ rung: Rung, reason: z.string() }).optional(),
    timings: z.object({ totalMs: z.number(), backendMs: z.number(), encodeMs: z.number(), searchMs: z.number() }),
  })
  .meta({ id: 'AdsResponse' });
export type AdsResponse = z.infer<typeof AdsResponse>;
