/** Recovery, its bootstrap interval, the relevance map, and exact search. */
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import type { Metric } from '../../../training/evaluate/metrics.ts';
import { type Pair, recovery } from '../../../training/evaluate/recovery.ts';
import { fitRelevance } from '../../../training/evaluate/relevance.ts';
import { openSearch, topRows, unitRows } from '../../../training/evaluate/search.ts';

const scores = (value: number): Record<Metric, number> => ({ p10: value, ndcg10: value, mrr: value, recall100: value });

describe('recovery', () => {
  it('is the ratio of the means, inside its interval', () => {
    const random = seeded('pairs');
    const pairs: Pair[] = Array.from({ length: 400 }, () => {
      const teacher = random();
      return { teacher: scores(teacher), student: scores(teacher * (0.8 + 0.3 * random())) };
    });
    const { ratio, interval } = recovery(pairs, { samples: 500, random: seeded(1) });
    expect(ratio.p10).toBeCloseTo(0.95, 1);
    expect(interval.p10[0]).toBeLessThan(ratio.p10);
    expect(interval.p10[1]).toBeGreaterThan(ratio.p10);
    expect(interval.p10[1] - interval.p10[0]).toBeLessThan(0.05);
    expect(recovery(pairs, { samples: 500, random: seeded(1) }).interval).toEqual(interval);
  });

  it('covers the true ratio about 95 times of 100', () => {
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const random = seeded('trial', trial);
      const pairs = Array.from({ length: 80 }, () => {
        const teacher = random();
        // The noise has mean 0: the true ratio is 0.9.
        return { teacher: scores(teacher), student: scores(0.9 * teacher + 0.4 * (random() - 0.5)) };
      });
      const [low, high] = recovery(pairs, { samples: 200, random }).interval.p10;
      if (low <= 0.9 && 0.9 <= high) covered++;
    }
    expect(covered).toBeGreaterThan(180);
  });

  it('pairs: equal encoders recover exactly 1, with no width', () => {
    const pairs = [0.1, 0.5, 0.9].map((value) => ({ teacher: scores(value), student: scores(value) }));
    expect(recovery(pairs, { samples: 50, random: seeded(1) }).interval.ndcg10).toEqual([1, 1]);
  });
});

describe('fitRelevance', () => {
  it('finds the weights that made the labels', () => {
    const random = seeded('labels');
    const data = Array.from({ length: 20_000 }, () => {
      const pair = { cosine: random(), coverage: random(), bestCoverage: random() };
      const logit = 12 * pair.cosine + 3 * pair.coverage - 2 * pair.bestCoverage - 6;
      return { ...pair, relevant: random() < 1 / (1 + Math.exp(-logit)) };
    });
    const { cosine, coverage, bestCoverage, intercept } = fitRelevance(data);
    expect(Math.abs(cosine - 12)).toBeLessThan(0.8);
    expect(Math.abs(coverage - 3)).toBeLessThan(0.4);
    expect(Math.abs(bestCoverage + 2)).toBeLessThan(0.4);
    expect(Math.abs(intercept + 6)).toBeLessThan(0.5);
  });

  it('stays finite where one score parts the labels, and gives a feature that never varies no weight', () => {
    const data = [0.1, 0.2, 0.8, 0.9].map((cosine) => ({
      cosine,
      coverage: 0,
      bestCoverage: 0,
      relevant: cosine > 0.5,
    }));
    const { cosine, coverage, intercept } = fitRelevance(data);
    expect(cosine).toBeGreaterThan(0);
    expect(coverage).toBe(0);
    expect(Number.isFinite(intercept)).toBe(true);
  });
});

describe('exact search', () => {
  it('keeps the k best in order, ties by row, and only allowed rows', () => {
    const hits = topRows(Float32Array.of(0.1, 0.9, 0.5, 0.9, 0.7), 3, (row) => row !== 4);
    expect(hits.map(({ row }) => row)).toEqual([1, 3, 2]);
  });

  it('finds what a full sort by cosine finds', async () => {
    const random = seeded('vectors');
    const dimension = 8;
    const vectors = Int8Array.from({ length: 300 * dimension }, () => Math.round(random() * 254 - 127));
    const rows = unitRows(vectors, dimension);
    const queries = rows.slice(0, 70 * dimension);
    const search = await openSearch(rows, dimension);
    const found = await search.search(queries, { k: 10, allowed: (query, row) => (query + row) % 3 !== 0 });
    await search.close();
    for (const [query, hits] of found.entries()) {
      const all = Array.from({ length: 300 }, (_, row) => {
        let score = 0;
        for (let i = 0; i < dimension; i++) score += rows[row * dimension + i]! * queries[query * dimension + i]!;
        return { row, score };
      });
      const best = all.filter(({ row }) => (query + row) % 3 !== 0).sort((a, b) => b.score - a.score);
      expect(hits).toHaveLength(10);
      for (const [rank, { score }] of hits.entries()) expect(score).toBeCloseTo(best[rank]!.score, 4);
    }
  });
});
