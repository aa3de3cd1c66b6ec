/**
 * What happened, as the edge logs it. Ids are made when the answer is served, so a delivery may be repeated: the store
 * keeps one row per id. An impression event accounts for one answered query and lists the ads it showed.
 */
import * as z from 'zod';
import { Assignment, Device } from '../experiment.ts';
import { Micros } from '../money.ts';
import { AdId, Locale, Market } from './names.ts';
import { CacheStatus, Rung } from './query-route.ts';

/** Highest position of a slot; those who read the log count in int32. */
const MOST_POSITION = 1_000;

const EventBase = z.lazy(() =>
  z.strictObject({
    id: z.string().min(8).max(64),
    /** UTC milliseconds at the edge. */
    atMs: z.int().positive(),
  }),
);

export const ImpressionEvent = z.lazy(() =>
  EventBase.unwrap().extend({
    type: z.literal('impression'),
    /** Keyed hash of the first-party id; never the id itself. */
    unitId: z.string().min(1).max(64),
    bot: z.boolean(),
    /** Whether the visitor may be known by a cookie: without that, the next request of the same person is another unit. */
    consent: z.boolean().optional(),
    /** A signed override forced an arm: left out of every analysis. */
    qa: z.boolean().optional(),
    device: Device.optional(),
    /** Where the edge answered: the airport code of its location. */
    colo: z.string().min(1).max(16).optional(),
    market: Market,
    locale: Locale,
    /** Normalized query. */
    query: z.string().max(1_000),
    assignments: z.array(Assignment),
    planFingerprint: z.string(),
    configVersion: z.int(),
    generation: z.int().nullable(),
    model: z.string().nullable(),
    cache: z.strictObject({ status: CacheStatus, ageMs: z.number() }),
    rung: Rung,
    reason: z.string().optional(),
    slots: z.array(
      z.strictObject({
        position: z.int().min(1).max(MOST_POSITION),
        adId: AdId,
        relevance: z.number(),
        priceMicros: Micros,
        retrievers: z.array(z.string()),
        /** On an interleaved page: the arm whose plan the slot, and a click on it, is credited to. */
        team: z.string().optional(),
      }),
    ),
    timings: z.strictObject({ totalMs: z.number(), backendMs: z.number(), encodeMs: z.number(), searchMs: z.number() }),
  }),
);
export type ImpressionEvent = z.infer<typeof ImpressionEvent>;

/** One click of a slot. The id is `impressionId:position`, so that a replayed token counts once. */
export const ClickEvent = z.lazy(() =>
  EventBase.unwrap().extend({
    id: z.string().min(8).max(80),
    type: z.literal('click'),
    impressionId: z.string(),
    adId: AdId,
    position: z.int().min(1).max(MOST_POSITION),
    chargeMicros: Micros,
    bot: z.boolean(),
  }),
);
export type ClickEvent = z.infer<typeof ClickEvent>;

export const ConversionEvent = z.lazy(() =>
  EventBase.unwrap().extend({
    type: z.literal('conversion'),
    /** The click that it follows. */
    clickId: z.string().min(8).max(80),
    valueMicros: Micros,
  }),
);
export type ConversionEvent = z.infer<typeof ConversionEvent>;

export const HarnessEvent = z.lazy(() =>
  z.discriminatedUnion('type', [ImpressionEvent, ClickEvent, ConversionEvent]).meta({ id: 'Event' }),
);
export type HarnessEvent = z.infer<typeof HarnessEvent>;

/** `POST /v1/events`. A malformed event is rejected by index and never blocks the others. */
export const EventBatch = z.lazy(() =>
  z.strictObject({ events: z.array(z.unknown()).min(1).max(1_000) }).meta({ id: 'EventBatch' }),
);
export const EventBatchResult = z.lazy(() =>
  z
    .object({
      stored: z.int(),
      duplicates: z.int(),
      rejected: z.array(z.object({ index: z.int(), reason: z.string() })),
      /** Kept on the backend's disk while its database is away, and stored when that is back. */
      spooled: z.int().optional(),
    })
    .meta({ id: 'EventBatchResult' }),
);
export type EventBatchResult = z.infer<typeof EventBatchResult>;

/** Payload of a click token; short names, because it travels in every clickUrl. */
export const ClickToken = z.lazy(() =>
  z.strictObject({
    /** Impression id. */
    i: z.string(),
    /** Ad id. */
    a: AdId,
    /** Position, 1-based. */
    p: z.int().min(1),
    /** Landing URL. */
    d: z.url({ protocol: /^https?$/ }),
    /** Charge in micros. */
    c: Micros,
    /** Expiry, UTC seconds. */
    x: z.int(),
    /** Shown under a signed override: a click costs nothing. */
    q: z.literal(1).optional(),
  }),
);
export type ClickToken = z.infer<typeof ClickToken>;
export const CLICK_TOKEN = 'click';

/** `POST /v1/conversions` at the edge: the click id that the redirect appended to the landing URL as `hclid`. */
export const ConversionRequest = z.lazy(() =>
  z
    .strictObject({ clickId: z.string().min(8).max(400), orderId: z.string().min(1).max(64), valueMicros: Micros })
    .meta({ id: 'ConversionRequest' }),
);
export type ConversionRequest = z.infer<typeof ConversionRequest>;
export const CLICK_ID_PARAMETER = 'hclid';
export const Accepted = z.lazy(() => z.object({ id: z.string() }).meta({ id: 'Accepted' }));
