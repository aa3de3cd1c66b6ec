/** Tables of the catalogue: ads and their terms, what they spent, bulk loads, vectors, and the generations published of it all. */
import { sql } from 'drizzle-orm';
import { bigint, date, doublePrecision, index, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { Account, AccountKind } from '../../../shared/contract/accounts.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import type { Generation } from '../../../shared/contract/generations.ts';
import { instant, int8Vector, micros } from '../column-kinds.ts';

/** The catalogue, as advertisers book it. */
export const ads = pgTable(
  'ads',
  {
    id: text().primaryKey(),
    advertiserId: text('advertiser_id').notNull(),
    campaignId: text('campaign_id').notNull(),
    title: text().notNull(),
    description: text().notNull(),
    displayUrl: text('display_url').notNull(),
    landingUrl: text('landing_url').notNull(),
    keywords: jsonb().$type<Ad['keywords']>().notNull(),
    markets: jsonb().$type<Ad['markets']>().notNull(),
    bidMicros: micros('bid_micros').notNull(),
    dailyBudgetMicros: micros('daily_budget_micros').notNull(),
    status: text().$type<Ad['status']>().notNull(),
    /** Terms that few ads have; `null` is none. */
    negatives: jsonb().$type<NonNullable<Ad['negatives']>>(),
    languages: jsonb().$type<NonNullable<Ad['languages']>>(),
    devices: jsonb().$type<NonNullable<Ad['devices']>>(),
    policyFlags: jsonb('policy_flags').$type<NonNullable<Ad['policyFlags']>>(),
    /** The catalogue commit that wrote the row last. */
    revision: bigint({ mode: 'number' }).notNull(),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
    /** Set when the ad was removed; the row goes later (catalogue/purge.ts). */
    deletedAt: instant('deleted_at'),
  },
  (table) => [
    index('ads_revision').on(table.revision, table.id),
    index('ads_removed').on(table.deletedAt).where(sql`deleted_at is not null`),
  ],
);

/** Campaigns, advertisers and rules of policy; never deleted, only marked. */
export const accounts = pgTable(
  'accounts',
  {
    kind: text().$type<AccountKind>().notNull(),
    id: text().notNull(),
    definition: jsonb().$type<Account>().notNull(),
    /** Of the definition, for the kill list. */
    status: text().$type<Ad['status']>().notNull(),
    dailyBudgetMicros: micros('daily_budget_micros'),
    /** The catalogue commit that wrote the row last. */
    revision: bigint({ mode: 'number' }).notNull(),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
    deletedAt: instant('deleted_at'),
  },
  (table) => [primaryKey({ columns: [table.kind, table.id] })],
);

/** Bulk loads under way: how far each has come, in the transaction that staged its last rows. */
export const bulkLoads = pgTable('bulk_loads', {
  /** Embedding space and digest of the file. */
  id: text().primaryKey(),
  file: text().notNull(),
  /** Rows of the file that are staged or reported. */
  position: bigint({ mode: 'number' }).notNull(),
  rejected: bigint({ mode: 'number' }).notNull(),
  /** Length of the report of bad rows, so that one of a killed run is cut to what counts. */
  reportBytes: bigint('report_bytes', { mode: 'number' }).notNull(),
  startedAt: instant('started_at').notNull().default(sql`now()`),
});

/** Ads of bulk loads that nobody sees until all of a file are here. */
export const stagedAds = pgTable('staged_ads', {
  loadId: text('load_id').notNull(),
  /** 1-based, in the file. */
  line: bigint({ mode: 'number' }).notNull(),
  adId: text('ad_id').notNull(),
  /** In the shape of a row of `ads`, without its revision. */
  ad: jsonb().$type<object>().notNull(),
  vector: int8Vector(),
  textDigest: text('text_digest'),
});

/** Teacher vectors that came with an upload; the bundle's own stay in the bundle. */
export const adVectors = pgTable(
  'ad_vectors',
  {
    adId: text('ad_id').notNull(),
    spaceId: text('space_id').notNull(),
    /** [dimension] int8; cosine ignores the scale. */
    vector: int8Vector().notNull(),
    /** Digest of the text it was made from (shared/ad-text), so that it is dropped when the text changes. */
    textDigest: text('text_digest').notNull(),
  },
  (table) => [primaryKey({ columns: [table.adId, table.spaceId] })],
);

/** Published indices; the files live in the data folder. */
export const generations = pgTable('generations', {
  number: integer().primaryKey(),
  status: text().$type<Generation['status']>().notNull(),
  spaceId: text('space_id').notNull(),
  model: text().notNull(),
  ads: integer().notNull(),
  recall: doublePrecision(),
  reason: text(),
  /** The catalogue commit that the index covers; later ones are replayed on top of it. */
  catalogueRevision: bigint('catalogue_revision', { mode: 'number' }).notNull(),
  createdAt: instant('created_at').notNull(),
  publishedAt: instant('published_at'),
});

/** What an ad's clicks of a UTC day have cost; only the present day is kept. */
export const adSpend = pgTable(
  'ad_spend',
  {
    adId: text('ad_id').notNull(),
    day: date().notNull(),
    spentMicros: micros('spent_micros').notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.adId] })],
);

/** The same of campaigns and advertisers, whether they have a budget or not: one may be set during the day. */
export const accountSpend = pgTable(
  'account_spend',
  {
    kind: text().$type<AccountKind>().notNull(),
    id: text().notNull(),
    day: date().notNull(),
    spentMicros: micros('spent_micros').notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.kind, table.id] })],
);
