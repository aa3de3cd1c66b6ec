/** Sums over the units of the sample, by arm. */
import type { ArmCount, SampledUnit } from './evidence.ts';

const COUNTS = [
  'queries',
  'hits',
  'ageMs',
  'duplicates',
  'clicks',
  'earlyClicks',
  'earlyConversions',
  'conversions',
  'lateConversions',
  'openClicks',
  'leaks',
] as const satisfies (keyof SampledUnit)[];

/** One row an arm, in the order of the arms; an arm without sampled units has zeros. */
export function totalsByArm(arms: readonly ArmCount[], sample: readonly SampledUnit[]): SampledUnit[] {
  const totals = new Map(
    arms.map(({ arm }) => [arm, { arm, ...Object.fromEntries(COUNTS.map((name) => [name, 0])) } as SampledUnit]),
  );
  for (const unit of sample) {
    const total = totals.get(unit.arm);
    if (total !== undefined) for (const name of COUNTS) total[name] += unit[name];
  }
  return [...totals.values()];
}
