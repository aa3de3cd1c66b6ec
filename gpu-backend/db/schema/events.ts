/** Tables of what happened: impressions and the exposures in them, clicks, conversions, judgements, and what never came. */
import {
  bigint,
  boolean,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
} from 'drizzle-orm/pg-core';
import type { ImpressionEvent } from '../../../shared/contract/events.ts';
import { instant, micros, storedBy } from '../column-kinds.ts';

/** One row an answered query. */
export const impressions = pgTable(
  'impressions',
  {
    id: text().primaryKey(),
    at: instant('at').notNull(),
    unitId: text('unit_id').notNull(),
    bot: boolean().notNull(),
    /** Of the visitor, to being known by a cookie; `null` for events of before it was logged. */
    consent: boolean(),
    /** An override forced an arm; such rows have no exposures. */
    qa: boolean().notNull().default(false),
    /** `null` for events of before it was logged. */
    device: text().$type<NonNullable<ImpressionEvent['device']>>(),
    /** Where the edge answered; `null` where it does not say. */
    colo: text(),
    market: text().notNull(),
    locale: text().notNull(),
    query: text().notNull(),
    configVersion: bigint('config_version', { mode: 'number' }).notNull(),
    planFingerprint: text('plan_fingerprint').notNull(),
    generation: bigint({ mode: 'number' }),
    model: text(),
    cacheStatus: text('cache_status').$type<ImpressionEvent['cache']['status']>().notNull(),
    cacheAgeMs: doublePrecision('cache_age_ms').notNull(),
    rung: text().$type<ImpressionEvent['rung']>().notNull(),
    reason: text(),
    slotCount: integer('slot_count').notNull(),
    totalMs: doublePrecision('total_ms').notNull(),
    backendMs: doublePrecision('backend_ms').notNull(),
    encodeMs: doublePrecision('encode_ms').notNull(),
    searchMs: doublePrecision('search_ms').notNull(),
    /** What was shown, in the shape of the event. */
    slots: jsonb().$type<ImpressionEvent['slots']>().notNull(),
    xact: storedBy(),
  },
  (table) => [index('impressions_at').on(table.at), index('impressions_xact').on(table.xact)],
);

/** Which arms an impression took part in: one row per impression and experiment. */
export const exposures = pgTable(
  'exposures',
  {
    impressionId: text('impression_id').notNull(),
    experiment: text().notNull(),
    layer: text().notNull(),
    arm: text().notNull(),
    unitId: text('unit_id').notNull(),
    at: instant('at').notNull(),
    /** Whether another arm would have shown other ads; `null` where that was not asked. */
    triggered: boolean(),
  },
  (table) => [
    primaryKey({ columns: [table.impressionId, table.experiment] }),
    // with the impression, so that a unit's queries are found without reading the exposures
    index('exposures_experiment_unit').on(table.experiment, table.unitId, table.impressionId),
  ],
);

/** One row a clicked slot, whatever the number of replays. */
export const clicks = pgTable(
  'clicks',
  {
    id: text().primaryKey(),
    impressionId: text('impression_id').notNull(),
    adId: text('ad_id').notNull(),
    position: bigint({ mode: 'number' }).notNull(),
    chargeMicros: micros('charge_micros').notNull(),
    bot: boolean().notNull(),
    at: instant('at').notNull(),
    xact: storedBy(),
  },
  (table) => [index('clicks_impression').on(table.impressionId), index('clicks_xact').on(table.xact)],
);

export const conversions = pgTable(
  'conversions',
  {
    id: text().primaryKey(),
    clickId: text('click_id').notNull(),
    valueMicros: micros('value_micros').notNull(),
    at: instant('at').notNull(),
    xact: storedBy(),
  },
  (table) => [index('conversions_click').on(table.clickId), index('conversions_xact').on(table.xact)],
);

/** What people say of an ad beside a query; the first judgement counts, because rollups add each judgement once. */
export const judgements = pgTable(
  'judgements',
  {
    market: text().notNull(),
    /** Normalized. */
    query: text().notNull(),
    adId: text('ad_id').notNull(),
    relevant: boolean().notNull(),
    xact: storedBy(),
  },
  (table) => [
    primaryKey({ columns: [table.market, table.query, table.adId] }),
    index('judgements_xact').on(table.xact),
  ],
);

/** Exposures that the edge issued and nobody stored, as its ledger tells; those that come after all no longer count. */
export const missingExposures = pgTable(
  'missing_exposures',
  {
    impressionId: text('impression_id').notNull(),
    experiment: text().notNull(),
    arm: text().notNull(),
    at: instant('at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.experiment, table.impressionId] })],
);
