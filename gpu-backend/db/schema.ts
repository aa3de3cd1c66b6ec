/**
 * The tables. drizzle-kit makes migrations/ from this file (`npm run db:generate`); PGlite and Postgres 15+ both run them.
 *
 * Decisions that the code relies on:
 * - Events carry no foreign keys: delivery is at least once and in any order, so a click may be stored before its
 *   impression. Reports join; reconciliation names what never found its other half.
 * - An ad is never deleted, only marked (`deleted_at`), so that what changed since a generation was built can be replayed.
 * - What a caller may make as large as a JSON integer is a bigint, so that no event fails on a narrow column.
 * - `revision` counts catalogue commits, all ads together, and grows in commit order (see counters.ts).
 * - `xact` names the transaction that stored an event. Rollups follow it (experiments/rollup-advance.ts), because neither
 *   clocks nor sequences have the order of commits.
 */
import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  customType,
  date,
  doublePrecision,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  timestamp,
} from 'drizzle-orm/pg-core';
import type { Account, AccountKind } from '../../shared/contract/accounts.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import type { Alert } from '../../shared/contract/alerts.ts';
import type { ImpressionEvent } from '../../shared/contract/events.ts';
import type { Generation } from '../../shared/contract/generations.ts';
import type { ExperimentDefinition } from '../../shared/experiment-definition.ts';
import type { LifecycleAction } from '../../shared/experiment-lifecycle.ts';
import { MeasureName } from '../../shared/metric.ts';

/** Int8 components of a vector, one byte each. */
const int8Vector = customType<{ data: Int8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  toDriver: (vector) => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength),
  fromDriver: (bytes) => new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength),
});

/** UTC, to the millisecond. */
const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' });
const micros = (name: string) => bigint(name, { mode: 'number' });

/** The 64-bit number of the transaction that stores the row. */
const xact = customType<{ data: string }>({ dataType: () => 'xid8' });
const storedBy = () => xact('xact').notNull().default(sql`pg_current_xact_id()`);

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
    /** Set when the ad was removed. */
    deletedAt: instant('deleted_at'),
  },
  (table) => [index('ads_revision').on(table.revision, table.id)],
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
  /** Digest of the file. */
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

export const experiments = pgTable('experiments', {
  key: text().primaryKey(),
  layer: text().notNull(),
  status: text().$type<ExperimentDefinition['status']>().notNull(),
  definition: jsonb().$type<ExperimentDefinition>().notNull(),
  createdAt: instant('created_at').notNull().default(sql`now()`),
  updatedAt: instant('updated_at').notNull().default(sql`now()`),
});

/** Every change of an experiment, in the order of the changes; a trigger lets no row be changed or removed. */
export const experimentAudit = pgTable(
  'experiment_audit',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    experiment: text().notNull(),
    at: instant('at').notNull().default(sql`now()`),
    action: text().$type<LifecycleAction>().notNull(),
    by: text().notNull(),
    /** Of the key that signed the call; `null` for what the service did by itself. */
    keyId: text('key_id'),
    why: text().notNull(),
    before: jsonb().$type<ExperimentDefinition>(),
    after: jsonb().$type<ExperimentDefinition>().notNull(),
  },
  (table) => [index('experiment_audit_experiment').on(table.experiment, table.id)],
);

/**
 * Alerts on their way to the webhook: a row is there until it is delivered, and stays as the memory of having been sent. A
 * key is raised once, so that an alarm that lasts is one alert a day however often and by however many processes it is seen.
 */
export const alerts = pgTable(
  'alerts',
  {
    /** `experiment@version:check:day`. */
    key: text().primaryKey(),
    body: jsonb().$type<Alert>().notNull(),
    raisedAt: instant('raised_at').notNull(),
    attempts: integer().notNull().default(0),
    nextAttemptAt: instant('next_attempt_at').notNull(),
    deliveredAt: instant('delivered_at'),
    /** What the last failed attempt met. */
    lastError: text('last_error'),
  },
  (table) => [index('alerts_due').on(table.nextAttemptAt).where(sql`delivered_at is null`)],
);

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

/** Which arms an impression took part in: one row an impression and experiment. */
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

/** What people say of an ad beside a query; the first word counts, because rollups add each judgement once. */
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

/** A column for each measure of experiments/measures.ts, under its name; whole numbers, those of bots left out. */
const measureColumns = () => ({
  queries: bigint({ mode: 'bigint' }).notNull(),
  covered: bigint({ mode: 'bigint' }).notNull(),
  shown: bigint({ mode: 'bigint' }).notNull(),
  clicks: bigint({ mode: 'bigint' }).notNull(),
  revenue: bigint({ mode: 'bigint' }).notNull(),
  conversions: bigint({ mode: 'bigint' }).notNull(),
  conversionValue: bigint('conversion_value', { mode: 'bigint' }).notNull(),
  cached: bigint({ mode: 'bigint' }).notNull(),
  judged: bigint({ mode: 'bigint' }).notNull(),
  defects: bigint({ mode: 'bigint' }).notNull(),
});

/** What both rollups say beside the measures. */
const seenColumns = () => ({
  /** Answered queries that a bot asked. */
  bots: bigint({ mode: 'bigint' }).notNull(),
  /** First and last answered query; `null` where bots asked them all. */
  firstAt: instant('first_at'),
  lastAt: instant('last_at'),
});

/** What a unit did in an arm on a UTC day, that of the query: clicks and conversions count where their query does. */
export const experimentUnitDays = pgTable(
  'experiment_unit_days',
  {
    experiment: text().notNull(),
    arm: text().notNull(),
    unitId: text('unit_id').notNull(),
    day: date().notNull(),
    ...seenColumns(),
    ...measureColumns(),
  },
  (table) => [primaryKey({ columns: [table.experiment, table.unitId, table.day, table.arm] })],
);

/** Places of a unit's first query as one text, in which nothing stands for what is not known. */
const firstOf = (...places: number[]) =>
  sql.raw(places.map((place) => `coalesce(first[${place}], '')`).join(` || ' ' || `));

/** The same over all days: one row a unit, whatever its arms. */
export const experimentUnits = pgTable(
  'experiment_units',
  {
    experiment: text().notNull(),
    unitId: text('unit_id').notNull(),
    /** The unit's arm, the first by name of several; `null` where bots asked all its queries. */
    arm: text(),
    /** Answered queries of which it was logged whether another arm would have shown other ads, and those where it would. */
    compared: bigint({ mode: 'bigint' }).notNull().default(sql`0`),
    triggered: bigint({ mode: 'bigint' }).notNull().default(sql`0`),
    /** Seen in several arms, and so treated with more than one. */
    mixed: boolean().notNull(),
    /**
     * The unit's first answered query: instant and id, so that the smallest is the first, then market, device, edge
     * location, cache status and consent; `null` where bots asked them all.
     */
    first: text().array(),
    /** Market, device and consent of the first, with spaces between, and where and how it was answered: edge location, cache status. */
    stratum: text()
      .notNull()
      .generatedAlwaysAs(firstOf(3, 4, 7)),
    served: text().notNull().generatedAlwaysAs(firstOf(5, 6)),
    ...seenColumns(),
    ...measureColumns(),
  },
  (table) => [
    primaryKey({ columns: [table.experiment, table.unitId] }),
    // the order in which units are sampled (experiments/unit-sample.ts)
    index('experiment_units_sample').on(table.experiment, sql`md5(${table.unitId})`),
  ],
);

/** Name of the product of two measures, the same in either order. */
export const productName = <Name extends string>(a: Name, b: Name) =>
  (a < b ? `${a}*${b}` : `${b}*${a}`) as `${Name}*${Name}`;

/** What is summed over the units of an arm: the units, each measure, each product of two, under their names. */
export type ArmSum = 'units' | MeasureName | `${MeasureName}*${MeasureName}`;

const armSum = () => numeric().notNull();

function armSumColumns() {
  const measures = MeasureName.options;
  const products = measures.flatMap((a, i) => measures.slice(i).map((b) => productName(a, b)));
  return Object.fromEntries(['units', ...measures, ...products].map((name) => [name, armSum()])) as Record<
    ArmSum,
    ReturnType<typeof armSum>
  >;
}

/**
 * How sums over an arm's units grew on a UTC day: units that appeared, and by how much each measure, and each product of two
 * measures summed up to that day, grew. So reports and effects over time are read without the units, however many there are.
 * Units of several arms count nowhere. Kept up with the days, in the same statement.
 */
export const experimentArmDays = pgTable(
  'experiment_arm_days',
  {
    experiment: text().notNull(),
    arm: text().notNull(),
    day: date().notNull(),
    /** That of the units. */
    stratum: text().notNull(),
    /** Whether another arm would ever have shown them other ads: `yes`, `no`, or empty where that was not always logged. */
    triggered: text().notNull(),
    ...armSumColumns(),
  },
  (table) => [primaryKey({ columns: [table.experiment, table.arm, table.day, table.stratum, table.triggered] })],
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

/** Numbers that only grow: the version of the serving configuration, the catalogue's revision, how far the rollups are. */
export const counters = pgTable('counters', {
  name: text().$type<'config' | 'catalogue' | 'rollup'>().primaryKey(),
  value: bigint({ mode: 'number' }).notNull(),
});
