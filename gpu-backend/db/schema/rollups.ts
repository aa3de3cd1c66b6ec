/** Tables of rollups: sums over the events of an experiment, by unit and day, by unit, and by arm and day. */
import { sql } from 'drizzle-orm';
import { bigint, boolean, date, index, numeric, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import { MeasureName } from '../../../shared/metric.ts';
import { instant } from '../column-kinds.ts';

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
