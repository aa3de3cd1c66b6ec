/**
 * The tables, all of them. drizzle-kit makes migrations/ from this file (`npm run db:generate`); PGlite and Postgres 15+ both run them.
 *
 * Decisions that the code relies on:
 * - Events carry no foreign keys: delivery is at least once and in any order, so a click may be stored before its
 *   impression. Reports join; reconciliation names what never found its other half.
 * - An ad that is removed is only marked (`deleted_at`), so that what changed since a generation was built can be replayed; its
 *   row goes long after (catalogue/purge.ts).
 * - What a caller may make as large as a JSON integer is a bigint, so that no event fails on a narrow column.
 * - `revision` counts catalogue commits, all ads together, and grows in commit order (see counters.ts).
 * - `xact` names the transaction that stored an event. Rollups follow it (experiments/rollup-advance.ts), because neither
 *   clocks nor sequences have the order of commits.
 */
import { bigint, pgTable, text } from 'drizzle-orm/pg-core';

export * from './schema/catalogue.ts';
export * from './schema/events.ts';
export * from './schema/experiments.ts';
export * from './schema/rollups.ts';

/**
 * Numbers that only grow: the version of the serving configuration, the catalogue's revision, how far the rollups are, up
 * to which revision removed ads may have been purged; and when alarms were looked for last, in UTC milliseconds.
 */
export const counters = pgTable('counters', {
  name: text().$type<'config' | 'catalogue' | 'purged' | 'rollup' | 'alerts'>().primaryKey(),
  value: bigint({ mode: 'number' }).notNull(),
});
