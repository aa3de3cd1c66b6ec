/**
 * Thresholds of capped columns: the quantile of all counted units, one for all arms, so that an A/A test stays unbiased.
 * They are looked up before the sums, from the top, because few units lie above a cap and no sort of the others is needed.
 */
import { sql } from 'drizzle-orm';
import { type Database, rows } from '../db/connect.ts';
import { countUnits } from './arm-sums.ts';
import { type Caps, type Column, nameOf, unitRows } from './columns.ts';

/** How many of so many units come before the one whose value is the cap, from the top. */
export const unitsAbove = (capQuantile: number, units: number) => units - Math.max(1, Math.ceil(capQuantile * units));

/** The smallest value that at least the quantile's share of units does not exceed, by column; empty without units. */
export async function capsOf(db: Database, experiment: string, columns: readonly Column[]): Promise<Caps> {
  const capped = columns.filter(({ capQuantile }) => capQuantile !== undefined);
  if (capped.length === 0) return new Map();
  const units = await countUnits(db, experiment);
  const caps = new Map<string, string>();
  if (units === 0) return caps;
  for (const column of capped) {
    const above = unitsAbove(column.capQuantile!, units);
    const name = sql.identifier(nameOf(column));
    const [found] = await rows<{ cap: string }>(
      db,
      sql`select ${name}::text as cap from (${unitRows(experiment, [column])}) units where arm is not null and not mixed
          order by ${name} desc limit 1 offset ${above}::bigint`,
    );
    if (found !== undefined) caps.set(nameOf(column), found.cap); // units may be fewer by now
  }
  return caps;
}
