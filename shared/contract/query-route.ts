/** `GET /v1/ads` of the edge: what may be asked, and the answer. */
import * as z from 'zod';
import { AuctionConfig } from '../auction.ts';
import { Assignment } from '../experiment.ts';
import { Locale, Market } from './names.ts';

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

export const AdsResponse = z.lazy(() =>
  z
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
    .meta({ id: 'AdsResponse' }),
);
export type AdsResponse = z.infer<typeof AdsResponse>;
