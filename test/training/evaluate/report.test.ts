/** Recovery against both denominators, floors and slices from measures given by hand; and the table of them. */
import { describe, expect, it } from 'vitest';
import { METRICS, type Scores } from '../../../training/evaluate/metrics.ts';
import {
  type EvaluationReport,
  type Measures,
  quality,
  withPublishedFloors,
} from '../../../training/evaluate/report.ts';
import { evaluationTable } from '../../../training/evaluate/table.ts';

const QUERIES = 40;
const scores = (value: number): Scores =>
  Object.fromEntries(METRICS.map((metric) => [metric, value])) as Record<(typeof METRICS)[number], number>;
/** The same value for each query, or one for each half. */
const all = (first: number, second = first): Scores[] =>
  Array.from({ length: QUERIES }, (_, i) => scores(i < QUERIES / 2 ? first : second));
const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

const measures: Measures = {
  bm25: all(0.3),
  static: all(0.35),
  teacherBare: all(0.5),
  teacher: all(0.8, 0.4),
  student: all(0.6, 0.4),
};
const made = (more: Partial<Measures> = {}) =>
  quality({
    measures: { ...measures, ...more },
    slices: [
      { group: 'slice', name: 'extrapolation', rows: rows(20, 40) },
      { group: 'slice', name: 'interpolation', rows: rows(0, 20) },
      { group: 'kind', name: 'typo', rows: rows(0, 19) },
    ],
    denominators: { teacher: 'teacher with context', teacherBare: 'teacher alone' },
    samples: 100,
    seed: 1,
  });

const report = (more: Partial<EvaluationReport> = {}, changed: Partial<Measures> = {}): EvaluationReport => ({
  split: 'test',
  dataSha256: 'a',
  queries: QUERIES,
  queriesWithoutRelevant: 0,
  queriesWithContext: QUERIES,
  relevantFrom: 2,
  ...made(changed),
  cosine: { teacher: { mean: 1, smallest: 1 }, teacherBare: { mean: 1, smallest: 1 } },
  ...more,
});

describe('quality', () => {
  it('names both denominators and divides by each', () => {
    const { recovery, recoveryBare } = made();
    expect(recovery.denominator).toBe('teacher with context');
    expect(recovery.p10).toBeCloseTo(0.5 / 0.6, 12);
    expect(recoveryBare.denominator).toBe('teacher alone');
    expect(recoveryBare.ndcg10).toBeCloseTo(1, 12);
    expect(recovery.interval.p10[0]).toBeLessThan(recovery.p10);
  });

  it('says by how much the student is above each floor that was measured', () => {
    const { floors } = made();
    expect(floors.bm25.p10).toBeCloseTo(0.3, 12);
    expect(floors.bm25.difference.p10).toBeCloseTo(0.2, 12);
    expect(floors.bm25.difference.interval.p10[0]).toBeGreaterThan(0);
    expect(floors.static?.difference.mrr).toBeCloseTo(0.15, 12);
    expect(floors.naive).toBeUndefined();
  });

  it('measures each slice by itself, with no width where all its queries are alike', () => {
    const { interpolation, extrapolation } = made().slices.slice;
    expect(interpolation?.queries).toBe(20);
    expect(interpolation?.systems.teacher?.p10).toBeCloseTo(0.8, 12);
    expect(interpolation?.systems.static?.ndcg10).toBeCloseTo(0.35, 12);
    expect(interpolation?.recovery.p10).toBeCloseTo(0.75, 12);
    expect(interpolation?.recovery.interval.p10[1]).toBeCloseTo(0.75, 12);
    expect(interpolation?.recoveryBare.p10).toBeCloseTo(1.2, 12);
    expect(extrapolation?.recovery.p10).toBeCloseTo(1, 12);
  });

  it('leaves small slices out and names them', () => {
    const { slices, slicesLeftOut } = made();
    expect(slices.kind).toEqual({});
    expect(slicesLeftOut).toEqual([{ group: 'kind', name: 'typo', queries: 19 }]);
  });
});

describe('withPublishedFloors', () => {
  const { static: _, ...bare } = measures;
  const fresh = {
    ...report(),
    ...quality({
      measures: bare,
      slices: [{ group: 'slice', name: 'interpolation', rows: rows(0, 20) }],
      denominators: { teacher: '', teacherBare: '' },
      samples: 10,
      seed: 1,
    }),
  };

  it('takes the trained floors from the published report of the same data, and nothing else', () => {
    const merged = withPublishedFloors(fresh, report({}, { bm25: all(0.9) }));
    expect(merged.floors.static?.p10).toBeCloseTo(0.35, 12);
    expect(merged.floors.bm25.p10).toBeCloseTo(0.3, 12);
    expect(merged.slices.slice.interpolation?.systems.static?.p10).toBeCloseTo(0.35, 12);
    expect(merged.slices.slice.interpolation?.systems.bm25?.p10).toBeCloseTo(0.3, 12);
  });

  it('takes nothing from a report of other data', () => {
    expect(withPublishedFloors(fresh, report({ dataSha256: 'b' }))).toEqual(fresh);
  });
});

describe('evaluationTable', () => {
  const speed = (ms: number) => ({ p50Ms: ms, p99Ms: 2 * ms, queriesPerSecond: 1000 / ms, tokens: 10 });
  const table = evaluationTable(
    report({
      outOfDomain: {
        queries: 2_000,
        pool: 1_900,
        teacher: { accuracy1: 0.4, mrr10: 0.5 },
        student: { accuracy1: 0.2, mrr10: 0.25 },
        kept: { accuracy1: 0.5, mrr10: 0.5, interval: { accuracy1: [0.4, 0.6], mrr10: [0.4, 0.6] } },
      },
      speed: {
        teacher: speed(27),
        teacherBare: speed(9),
        student: speed(1),
        latencyRatio: 27,
        throughputRatio: 20,
        latencyRatioBare: 9,
        throughputRatioBare: 7,
        queries: 400,
        note: '',
      },
    }),
  );

  it('is at most 110 columns wide, with every column in its place', () => {
    const lines = table.split('\n');
    expect(Math.max(...lines.slice(0, -4).map((text) => text.length))).toBeLessThanOrEqual(110);
    const end = (text: string, word: string) => text.indexOf(word) + word.length;
    const [head, p10] = [lines[0]!, lines[1]!];
    expect(p10).toMatch(/^P@10 +0\.300 +0\.350 +- +0\.500 +0\.600 +0\.500 +83\.3 \d/);
    expect(end(p10, '0.300')).toBe(end(head, 'BM25'));
    expect(end(p10, '0.600')).toBe(end(head, ' teacher'));
  });

  it('shows floors, slices, what was left out, speed and forgetting', () => {
    expect(table).toMatch(/student - BM25, P@10: 0\.200 \(.*\): above/);
    expect(table).toMatch(/student - naive: not measured/);
    expect(table).toMatch(/ {2}interpolation \(20\) .* 75\.0 75\.0\.\.75\.0 +120\.0 120/);
    expect(table).toContain('too few queries: typo (19)');
    expect(table).toMatch(/p50 ms, batch 1 +9\.00 +27\.00 +1\.00 +27\.0x +9\.0x/);
    expect(table).toMatch(/accuracy@1 +0\.400 +0\.200 +50\.0 40\.0\.\.60\.0/);
    expect(table).toContain('bare: teacher alone');
  });
});
