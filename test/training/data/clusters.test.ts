/** Cluster batches: every row once, whole clusters, near neighbours together, the same each time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClusterOptions, clusterRows, groupBatches } from '../../../training/data/clusters.ts';
import { seeded, shuffle } from '../../../training/data/seeded.ts';

/** Unit vectors around `topics` random directions, in random order; and the topic of each. */
function scattered(topics: number, perTopic: number, { dimension = 8, spread = 0.2, seed = 1 } = {}) {
  const random = seeded('scattered', seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const directions = Array.from({ length: topics }, () => Array.from({ length: dimension }, normal));
  const topicOf = shuffle(
    Array.from({ length: topics * perTopic }, (_, i) => i % topics),
    random,
  );
  const rows = topicOf.map((topic) => directions[topic]!.map((value) => value + spread * normal()));
  const vectors = Float32Array.from(rows.flatMap((row) => row.map((value) => value / Math.hypot(...row))));
  return { vectors, dimension, topicOf };
}

/** Mean cosine of two rows that share a group. */
function closeness(groups: readonly (readonly number[])[], vectors: Float32Array, dimension: number): number {
  let [sum, pairs] = [0, 0];
  for (const group of groups) {
    for (const a of group) {
      for (const b of group) {
        if (a >= b) continue;
        for (let j = 0; j < dimension; j++) sum += vectors[a * dimension + j]! * vectors[b * dimension + j]!;
        pairs++;
      }
    }
  }
  return sum / pairs;
}

/** Clusters, and batches of them. */
function clusterBatches({ batch, ...options }: ClusterOptions & { batch: number }): number[][] {
  const lengths = new Array<number>(options.vectors.length / options.dimension).fill(1);
  return groupBatches(clusterRows(options), { batch, lengths, window: 1, random: options.random });
}

describe('batches of clusters', () => {
  it('uses each row once, fills every batch, and leaves less than one batch over', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 120 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 9 }),
        (rows, perCluster, clustersABatch, seed) => {
          const { vectors, dimension } = scattered(1, rows, { seed });
          const batch = perCluster * clustersABatch;
          const deal = () => clusterBatches({ vectors, dimension, batch, perCluster, random: seeded(seed) });
          const batches = deal();
          const used = batches.flat();
          expect(batches.every((members) => members.length === batch)).toBe(true);
          expect(new Set(used).size).toBe(used.length);
          expect(used.every((row) => row >= 0 && row < rows)).toBe(true);
          expect(rows - used.length).toBe(rows % batch);
          expect(deal()).toEqual(batches);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('brings rows together that are closer than a random batch', () => {
    const { vectors, dimension } = scattered(32, 16);
    const batches = clusterBatches({ vectors, dimension, batch: 32, perCluster: 16, random: seeded(2) });
    const mixed = clusterBatches({ vectors, dimension, batch: 32, perCluster: 1, random: seeded(2) });
    expect(batches).toHaveLength(16);
    expect(closeness(mixed, vectors, dimension)).toBeLessThan(0.1);
    expect(closeness(batches, vectors, dimension)).toBeGreaterThan(0.4);
  });
});

describe('clusterRows', () => {
  it('finds topics that lie apart', () => {
    const { vectors, dimension, topicOf } = scattered(8, 16, { dimension: 16, spread: 0.02 });
    const clusters = clusterRows({ vectors, dimension, perCluster: 4, random: seeded(1) });
    expect(clusters).toHaveLength(32);
    const pure = clusters.filter((rows) => new Set(rows.map((row) => topicOf[row])).size === 1);
    expect(pure.length).toBeGreaterThanOrEqual(28);
  });

  it('deals more rows than its sample, every one once', () => {
    const { vectors, dimension } = scattered(4, 1_000, { dimension: 4 });
    const clusters = clusterRows({ vectors, dimension, perCluster: 16, random: seeded(1) });
    expect(clusters.every((rows) => rows.length === 16)).toBe(true);
    expect(new Set(clusters.flat()).size).toBe(4_000);
    expect(closeness(clusters, vectors, dimension)).toBeGreaterThan(0.9);
  });
});

describe('groupBatches', () => {
  const clusters = Array.from({ length: 64 }, (_, i) => [2 * i, 2 * i + 1]);
  const lengths = Array.from({ length: 128 }, (_, row) => 3 + (row % 32));

  it('keeps clusters whole and lets those of similar length meet', () => {
    const batches = groupBatches(clusters, { batch: 8, lengths, window: 4, random: seeded(1) });
    expect(batches.flat().sort((a, b) => a - b)).toEqual([...lengths.keys()]);
    for (const members of batches) {
      for (const row of members) expect(members).toContain(row % 2 === 0 ? row + 1 : row - 1);
    }
    const padded = (all: number[][]) =>
      all.reduce((sum, rows) => sum + Math.max(...rows.map((row) => lengths[row]!)), 0);
    const mixed = groupBatches(clusters, { batch: 8, lengths, window: 1, random: seeded(1) });
    expect(padded(batches)).toBeLessThan(padded(mixed) * 0.9);
  });

  it('refuses a batch that clusters do not fill', () => {
    expect(() => groupBatches(clusters, { batch: 9, lengths, window: 1, random: seeded(1) })).toThrow(
      'clusters: expected a divisor of the batch of 9, received 2.',
    );
  });
});
