/**
 * What an interleaving says (Chapelle, Joachims, Radlinski and Yue, TOIS 2012): each click counts for the plan that drafted
 * the ad, and the unit is the user. Two answers, because the draft comes before the auction:
 *
 * - Team draft: of all clicks, the share of treatment's. It is what the page earned through each plan, and includes slots
 *   that a plan won by bid or by a bold relevance.
 * - Debiased: clicks for each slot that was looked at, so that a plan with more or higher slots gains nothing by them (a
 *   position-based correction as in Bi, Chaudhari, Sharma et al., CIKM 2022).
 */
import { type SQL, sql } from 'drizzle-orm';
import type { Effect, InterleavingReport } from '../../../shared/contract/experiments.ts';
import { type Database, rows } from '../../db/connect.ts';
import { productName } from '../../db/schema.ts';
import { studentCritical, studentPValue } from '../distributions/student-t.ts';
import type { Estimate } from '../estimators/estimate.ts';
import { estimateQuantity, type Moments, type Quantity } from '../estimators/quantity.ts';
import { momentsIn } from '../rollup.ts';
import { readExamination } from './examination.ts';
import { comparePair, pairOf } from './switchback-pairs.ts';

/** Whole numbers for sums that are exact: a slot looked at for certain counts this much. */
const SEEN = 1_000_000;

/** What is summed over the slots of a unit. */
const SUMS = {
  clicks: sql`count(*) filter (where clicked)`,
  won: sql`count(*) filter (where clicked and not ours) - count(*) filter (where clicked and ours)`,
  controlClicks: sql`count(*) filter (where clicked and ours)`,
  treatmentClicks: sql`count(*) filter (where clicked and not ours)`,
  controlSeen: sql`coalesce(sum(looks) filter (where ours), 0)`,
  treatmentSeen: sql`coalesce(sum(looks) filter (where not ours), 0)`,
};
type Sum = keyof typeof SUMS;
const NAMES = Object.keys(SUMS) as Sum[];

const SHARE: Quantity<Sum> = { numerator: 'won', denominator: 'clicks', scale: 0.5 };
const CONTROL: Quantity<Sum> = { numerator: 'controlClicks', denominator: 'controlSeen', scale: SEEN };
const TREATMENT: Quantity<Sum> = { numerator: 'treatmentClicks', denominator: 'treatmentSeen', scale: SEEN };

/** Sums over units, made where the slots are: a page has many, and pages come by the million. */
async function readMoments(
  db: Database,
  slots: SQL,
  { control, examination = [] }: { control: string; examination: readonly number[] | undefined },
): Promise<Moments<Sum>> {
  const looks = JSON.stringify(examination.map((chance) => Math.round(SEEN * chance)));
  const list = (parts: SQL[]) => sql.join(parts, sql`, `);
  const column = (name: string) => sql.identifier(name);
  const products = NAMES.flatMap((a, i) => NAMES.slice(i).map((b) => [a, b] as const));
  const [row] = await rows<Record<string, string>>(
    db,
    sql`with units as (
          select ${list(NAMES.map((name) => sql`${SUMS[name]} as ${column(name)}`))}
          from (select unit_id, clicked, team = ${control} as ours,
              (${looks}::text::jsonb ->> (position - 1))::numeric as looks from (${slots}) slots) slots
          group by unit_id)
        select count(*)::text as units, ${list(NAMES.map((name) => sql`coalesce(sum(${column(name)}), 0)::text as ${column(name)}`))},
          ${list(products.map(([a, b]) => sql`coalesce(sum(${column(a)}::numeric * ${column(b)}), 0)::text as ${column(productName(a, b))}`))}
        from units`,
  );
  return momentsIn(row!);
}

/**
 * Analyses the slots of the experiment's pages, rows of `unit_id`, `market`, `query`, `ad_id`, `position` from 1, `team` (the arm
 * whose plan drafted it) and `clicked`. `control` is the arm that the other is compared with.
 */
export async function readInterleaving(
  db: Database,
  slots: SQL,
  { control, confidence }: { control: string; confidence: number },
): Promise<InterleavingReport> {
  const examination = await readExamination(
    db,
    sql`select market, query, ad_id, position, count(*) as shown, count(*) filter (where clicked) as clicks
        from (${slots}) slots group by 1, 2, 3, 4`,
  );
  const moments = await readMoments(db, slots, { control, examination });
  // Won less lost over clicks, halved: the share of treatment's clicks less a half.
  const share = estimateQuantity(moments, SHARE);
  return {
    units: moments.units,
    clicks: { control: Number(moments.sum('controlClicks')), treatment: Number(moments.sum('treatmentClicks')) },
    teamDraft: (share && lead(share, confidence)) ?? null,
    debiased: comparePair(pairOf(moments, { control: CONTROL, treatment: TREATMENT }), confidence) ?? null,
    examination: examination ?? null,
  };
}

/** How far a share is from even; `undefined` where no unit differs from another. */
function lead({ value, variance, units }: Estimate, confidence: number): Effect | undefined {
  if (variance === undefined || variance === 0) return undefined;
  const margin = studentCritical(confidence, units - 1) * Math.sqrt(variance);
  return {
    absolute: value,
    interval: [value - margin, value + margin],
    relative: null,
    relativeInterval: null,
    pValue: studentPValue(value / Math.sqrt(variance), units - 1),
    significant: Math.abs(value) > margin,
  };
}
