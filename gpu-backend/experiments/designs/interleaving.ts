/**
 * What an interleaving says (Chapelle, Joachims, Radlinski and Yue, TOIS 2012): each click counts for the plan that drafted
 * the ad, and the unit is the user. Two answers, because the draft comes before the auction:
 *
 * - Team draft: of all clicks, the share of treatment's. It is what the page earned through each plan, and includes slots
 *   that a plan won by bid or by a bold relevance.
 * - Debiased: clicks for each slot that was looked at, so that a plan with more or higher slots gains nothing by them (a
 *   position-based correction as in Bi, Chaudhari, Sharma et al., CIKM 2022).
 */
import type { Effect, InterleavingReport } from '../../../shared/contract/experiments.ts';
import { studentCritical, studentPValue } from '../distributions/student-t.ts';
import { covarianceOf, estimateQuantity, momentsOf, type Quantity } from '../estimators/quantity.ts';
import { examinationOf, type ShownSlot } from './examination.ts';

/** One slot of an interleaved page. */
export interface DraftedSlot extends ShownSlot {
  unitId: string;
  /** The arm whose plan drafted it. */
  team: string;
}

type Sum = 'clicks' | 'won' | 'controlClicks' | 'treatmentClicks' | 'controlSeen' | 'treatmentSeen';

/** Whole numbers for sums that are exact: a slot looked at for certain counts this much. */
const SEEN = 1_000_000;
const SHARE: Quantity<Sum> = { numerator: 'won', denominator: 'clicks', scale: 0.5 };
const CONTROL: Quantity<Sum> = { numerator: 'controlClicks', denominator: 'controlSeen', scale: SEEN };
const TREATMENT: Quantity<Sum> = { numerator: 'treatmentClicks', denominator: 'treatmentSeen', scale: SEEN };

/** Analyses the slots of the experiment's pages; `control` is the arm that the other is compared with. */
export function analyseInterleaving(
  slots: readonly DraftedSlot[],
  { control, confidence }: { control: string; confidence: number },
): InterleavingReport {
  const examination = examinationOf(slots);
  const units = new Map<string, Record<Sum, number>>();
  for (const { unitId, team, position, clicked } of slots) {
    const sums = units.get(unitId) ?? {
      clicks: 0,
      won: 0,
      controlClicks: 0,
      treatmentClicks: 0,
      controlSeen: 0,
      treatmentSeen: 0,
    };
    units.set(unitId, sums);
    const side = team === control ? 'control' : 'treatment';
    sums[`${side}Seen`] += examination === undefined ? 0 : Math.round(SEEN * examination[position - 1]!);
    if (!clicked) continue;
    sums.clicks += 1;
    sums.won += side === 'treatment' ? 1 : -1;
    sums[`${side}Clicks`] += 1;
  }
  const moments = momentsOf<Sum>([...units.values()]);
  const base = estimateQuantity(moments, CONTROL);
  const other = estimateQuantity(moments, TREATMENT);
  const covariance = covarianceOf(moments, CONTROL, TREATMENT);
  // Won less lost over clicks, halved: the share of treatment's clicks less a half.
  const share = estimateQuantity(moments, SHARE);
  const degrees = moments.units - 1;
  return {
    units: moments.units,
    clicks: { control: Number(moments.sum('controlClicks')), treatment: Number(moments.sum('treatmentClicks')) },
    teamDraft: share?.variance ? effect(share.value, { variance: share.variance, degrees, confidence }) : null,
    debiased:
      base?.variance === undefined || other?.variance === undefined || covariance === undefined
        ? null
        : effect(other.value - base.value, {
            variance: base.variance + other.variance - 2 * covariance,
            degrees,
            confidence,
            base: { value: base.value, ratioVariance: ratioVariance(base, other, covariance) },
          }),
    examination: examination ?? null,
  };
}

/** Variance of the quotient of two estimates over the same units, by the delta method. */
function ratioVariance(
  base: { value: number; variance?: number | undefined },
  other: { value: number; variance?: number | undefined },
  covariance: number,
): number {
  const ratio = other.value / base.value;
  return (other.variance! + ratio ** 2 * base.variance! - 2 * ratio * covariance) / base.value ** 2;
}

interface Spread {
  variance: number;
  degrees: number;
  confidence: number;
  /** What the difference is a share of. */
  base?: { value: number; ratioVariance: number };
}

function effect(absolute: number, { variance, degrees, confidence, base }: Spread): Effect | null {
  if (!(variance > 0)) return null;
  const critical = studentCritical(confidence, degrees);
  const error = Math.sqrt(variance);
  const interval: [number, number] = [absolute - critical * error, absolute + critical * error];
  const relative = base === undefined || base.value === 0 ? null : absolute / base.value;
  const margin = critical * Math.sqrt(base?.ratioVariance ?? 0);
  return {
    absolute,
    interval,
    relative,
    relativeInterval: relative === null ? null : [relative - margin, relative + margin],
    pValue: studentPValue(absolute / error, degrees),
    significant: interval[0] > 0 || interval[1] < 0,
  };
}
