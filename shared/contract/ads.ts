/** The catalogue's ad, as an advertiser books it. */
import * as z from 'zod';
import { Device } from '../experiment.ts';
import { Micros } from '../money.ts';
import { Keyword } from './keyword.ts';
import { AdId, Market } from './names.ts';

/** Paused by the advertiser, or blocked by whoever runs the market; either is shown to nobody. */
export const AdStatus = z.enum(['active', 'paused', 'blocked']);

/** A query's language is the first part of its locale. */
const Language = z.string().regex(/^[a-z]{2,3}$/, 'expected a language such as en');

/** To whom an ad may be shown; an absent or empty list is no condition. */
export const AdTerms = {
  /** Queries that must never bring the ad up. */
  negatives: z.array(Keyword).max(5_000).optional(),
  languages: z.array(Language).max(50).optional(),
  devices: z.array(Device).max(3).optional(),
  /** What the operator's rules of policy go by (accounts.ts). */
  policyFlags: z.array(AdId).max(50).optional(),
};

/** An ad as an advertiser books it. */
export const Ad = z
  .strictObject({
    id: AdId,
    advertiserId: AdId,
    campaignId: AdId,
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

/** Ads of one commit, unless it is a bulk load. */
export const MOST_IN_BATCH = 5_000;
export const AdBatch = z.strictObject({ ads: z.array(AdUpload).min(1).max(MOST_IN_BATCH) }).meta({ id: 'AdBatch' });
export const AdBatchResult = z
  .object({
    accepted: z.int(),
    rejected: z.array(z.object({ index: z.int(), id: z.string().optional(), reason: z.string() })),
  })
  .meta({ id: 'AdBatchResult' });
export type AdBatchResult = z.infer<typeof AdBatchResult>;
