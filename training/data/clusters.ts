/**
 * Batches of near neighbours: rows are clustered by their vectors and a batch is a union of whole clusters, so that
 * rows of a batch are hard to tell apart and in-batch negatives teach something. (Negative mining-aware mini-batching:
 * NGAME, arXiv 2207.04452.)
 *
 * Clusters come from balanced spherical 2-means, applied again to each half: all of one size, in n log n time. Centres of a large half
 * are found on a sample; every row is then dealt by them.
 */
import { HarnessError } from '../../shared/problem.ts';
import { lengthBatches } from './batches.ts';
import { shuffle } from './seeded.ts';

export interface ClusterOptions {
  /** float32 [rows, dimension], rows of length 1. */
  readonly vectors: Float32Array;
  readonly dimension: number;
  /** Rows a cluster. */
  readonly perCluster: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface GroupBatchOptions {
  /** Rows a batch: a multiple of the clusters' size. */
  readonly batch: number;
  /** Tokens of each row. */
  readonly lengths: readonly number[];
  /** Batches a window of similar lengths, as in `lengthBatches`. */
  readonly window: number;
  readonly random: () => number;
}

/** Rows that the centres of a half are found on, at most. */
const SAMPLE = 1_024;
/** Rounds of 2-means; balanced halves of unit vectors move little after that. */
const ROUNDS = 6;

/** What deals rows into two halves: the difference of their means, scaled to length 1 each. */
function direction(rows: readonly number[], { vectors, dimension }: ClusterOptions): Float64Array {
  const half = rows.length >> 1;
  const means = [new Float64Array(dimension), new Float64Array(dimension)] as const;
  rows.forEach((row, i) => {
    const mean = means[i < half ? 0 : 1];
    for (let j = 0, at = row * dimension; j < dimension; j++) mean[j]! += vectors[at + j]!;
  });
  const [left, right] = means.map((mean) => Math.hypot(...mean) || 1) as [number, number];
  return means[0].map((value, j) => value / left - means[1][j]! / right);
}

/** The rows, those nearest to the first half's mean first; equal ones by number. */
function sorted(rows: readonly number[], along: Float64Array, { vectors, dimension }: ClusterOptions): number[] {
  const scores = Float64Array.from(rows, (row) => {
    let sum = 0;
    for (let j = 0, at = row * dimension; j < dimension; j++) sum += vectors[at + j]! * along[j]!;
    return sum;
  });
  const order = [...rows.keys()].sort((a, b) => scores[b]! - scores[a]! || rows[a]! - rows[b]!);
  return order.map((i) => rows[i]!);
}

/**
 * Row numbers, [clusters][perCluster]. What does not fill a cluster, less than `perCluster` rows drawn at random, is left.
 * Deterministic in the vectors and `random`.
 */
export function clusterRows(options: ClusterOptions): number[][] {
  const { vectors, dimension, perCluster, random } = options;
  const split = (rows: number[]): number[][] => {
    const clusters = rows.length / perCluster;
    if (clusters <= 1) return [rows];
    let sample = shuffle([...rows], random).slice(0, SAMPLE);
    for (let round = 0; round < ROUNDS; round++) sample = sorted(sample, direction(sample, options), options);
    const dealt = sorted(rows, direction(sample, options), options);
    const half = Math.floor(clusters / 2) * perCluster;
    return [...split(dealt.slice(0, half)), ...split(dealt.slice(half))];
  };
  const rows = shuffle([...Array(vectors.length / dimension).keys()], random);
  const full = Math.floor(rows.length / perCluster) * perCluster;
  return full === 0 ? [] : split(rows.slice(0, full));
}

/**
 * Batches of whole clusters, [batches][batch], in an order that depends on `random` alone; clusters of similar length meet in a batch.
 * @throws HarnessError where the batch is not a multiple of the clusters' size.
 */
export function groupBatches(
  clusters: readonly (readonly number[])[],
  { batch, lengths, window, random }: GroupBatchOptions,
): number[][] {
  const perCluster = clusters[0]?.length ?? 1;
  if (batch % perCluster !== 0)
    throw new HarnessError(
      'configuration',
      `clusters: expected a divisor of the batch of ${batch}, received ${perCluster}.`,
    );
  const longest = clusters.map((rows) => rows.reduce((most, row) => Math.max(most, lengths[row]!), 0));
  const groups = lengthBatches(longest, { batch: batch / perCluster, window, random });
  return groups.map((members) => members.flatMap((cluster) => clusters[cluster]!));
}
