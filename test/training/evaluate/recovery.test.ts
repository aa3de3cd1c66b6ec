/** Comparisons of systems on the same queries: ratios, differences, and what their bootstrap intervals promise. */
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { compare, middle } from '../../../training/evaluate/recovery.ts';

const measures = ['p10'] as const;
const of = (values: readonly number[]) => values.map((p10) => ({ p10 }));

describe('compare', () => {
  it('divides and subtracts the means', () => {
    const measured = { student: of([0.2, 0.4]), teacher: of([0.5, 0.5]), floor: of([0, 0]) };
    const { queries, scores, ratio, difference } = compare(measured, { measures, samples: 10, random: seeded(1) });
    expect(queries).toBe(2);
    expect(scores('student').p10).toBeCloseTo(0.3, 12);
    expect(ratio('student', 'teacher').p10).toBeCloseTo(0.6, 12);
    expect(difference('student', 'teacher').p10).toBeCloseTo(-0.2, 12);
    expect(ratio('student', 'floor').p10).toBeNaN();
  });

  it('gives the same interval for the same seed, and one that holds the estimate', () => {
    const random = seeded('pairs');
    const teacher = Array.from({ length: 400 }, random);
    const student = teacher.map((value) => value * (0.8 + 0.3 * random()));
    const once = () =>
      compare({ student: of(student), teacher: of(teacher) }, { measures, samples: 500, random: seeded(1) }).ratio(
        'student',
        'teacher',
      );
    const { p10, interval } = once();
    expect(p10).toBeCloseTo(0.95, 1);
    expect(interval.p10[0]).toBeLessThan(p10);
    expect(interval.p10[1]).toBeGreaterThan(p10);
    expect(interval.p10[1] - interval.p10[0]).toBeLessThan(0.05);
    expect(once()).toEqual({ p10, interval });
  });

  it('covers the true ratio and the true difference about 95 times of 100', () => {
    const covered = { ratio: 0, difference: 0 };
    for (let trial = 0; trial < 200; trial++) {
      const random = seeded('trial', trial);
      const teacher = Array.from({ length: 80 }, random);
      // The noise has mean 0: the true ratio is 0.9, the true difference -0.1 times the mean of 0.5.
      const student = teacher.map((value) => 0.9 * value + 0.4 * (random() - 0.5));
      const drawn = compare({ student: of(student), teacher: of(teacher) }, { measures, samples: 200, random });
      const holds = ([low, high]: readonly [number, number], truth: number) => low <= truth && truth <= high;
      if (holds(drawn.ratio('student', 'teacher').interval.p10, 0.9)) covered.ratio++;
      if (holds(drawn.difference('student', 'teacher').interval.p10, -0.05)) covered.difference++;
    }
    for (const count of Object.values(covered)) {
      expect(count).toBeGreaterThan(180);
      expect(count).toBeLessThan(200);
    }
  });

  it('pairs: equal systems differ by exactly nothing, however the queries vary', () => {
    const values = of([0.1, 0.5, 0.9]);
    const drawn = compare({ a: values, b: values }, { measures, samples: 50, random: seeded(1) });
    expect(drawn.ratio('a', 'b').interval.p10).toEqual([1, 1]);
    expect(drawn.difference('a', 'b').interval.p10).toEqual([0, 0]);
  });

  it('refuses systems measured on different numbers of queries', () => {
    const measured = { a: of([1, 1]), b: of([1]) };
    expect(() => compare(measured, { measures, samples: 1, random: seeded(1) })).toThrow('b: 1 queries');
  });
});

describe('middle', () => {
  it('cuts 2.5 % off each end', () => {
    expect(middle(Float64Array.from({ length: 1001 }, (_, i) => 1000 - i))).toEqual([25, 975]);
  });
});
