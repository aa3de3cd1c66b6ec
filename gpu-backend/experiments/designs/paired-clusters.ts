/**
 * The estimator of designs that show every cluster both arms: a campaign with a budget for each arm, a block of windows of
 * time. Units of one cluster share its budget or its hour, so the cluster is what counts as independent. The difference is
 * a paired t over clusters, the relative difference a ratio of sums with the variance that clusters give it.
 */
import type { Effect } from '../../../shared/contract/experiments.ts';
import { studentCritical, studentPValue } from '../distributions/student-t.ts';
import { estimateQuantity, momentsOf } from '../estimators/quantity.ts';

/** What a cluster came to in each arm, in whole numbers on one scale: as if the arm had had all of it. */
export interface ClusterPair {
  control: number;
  treatment: number;
}

export interface PairedEffect extends Effect {
  clusters: number;
}

/** Mean difference a cluster and relative difference of the sums; `undefined` with fewer than two clusters that differ. */
export function comparePairs(pairs: readonly ClusterPair[], confidence: number): PairedEffect | undefined {
  const n = pairs.length;
  const differences = pairs.map(({ control, treatment }) => treatment - control);
  const absolute = differences.reduce((sum, d) => sum + d, 0) / n;
  const squares = differences.reduce((sum, d) => sum + (d - absolute) ** 2, 0);
  if (n < 2 || squares === 0) return undefined;
  const error = Math.sqrt(squares / (n * (n - 1)));
  const critical = studentCritical(confidence, n - 1);
  const interval: [number, number] = [absolute - critical * error, absolute + critical * error];
  const ratio = estimateQuantity(momentsOf<keyof ClusterPair>(pairs), {
    numerator: 'treatment',
    denominator: 'control',
  });
  const margin = critical * Math.sqrt(ratio?.variance ?? 0);
  return {
    absolute,
    interval,
    relative: ratio === undefined ? null : ratio.value - 1,
    relativeInterval: ratio === undefined ? null : [ratio.value - 1 - margin, ratio.value - 1 + margin],
    pValue: studentPValue(absolute / error, n - 1),
    significant: interval[0] > 0 || interval[1] < 0,
    clusters: n,
  };
}
