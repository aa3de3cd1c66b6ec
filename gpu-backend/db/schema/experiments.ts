/** Tables of experiments: their definitions, the record of their changes, alerts on their way. */
import { sql } from 'drizzle-orm';
import { bigint, index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import type { Alert } from '../../../shared/contract/alerts.ts';
import type { ServingDefaults } from '../../../shared/contract/config.ts';
import type { ExperimentDefinition } from '../../../shared/experiment-definition.ts';
import type { LifecycleAction } from '../../../shared/experiment-lifecycle.ts';
import { instant } from '../column-kinds.ts';

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

/** What a release brings beside experiments, in one row: of two releases side by side the one that started last. */
export const servingDefaults = pgTable('serving_defaults', {
  id: integer().primaryKey().default(1),
  content: jsonb().$type<ServingDefaults>().notNull(),
});

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
