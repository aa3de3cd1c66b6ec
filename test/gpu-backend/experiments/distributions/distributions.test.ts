import chiSquareCdf from '@stdlib/stats-base-dists-chisquare-cdf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chiSquarePValue, chiSquareTail } from '../../../../gpu-backend/experiments/distributions/chi-square.ts';
import {
  studentCritical,
  studentPValue,
  studentTail,
} from '../../../../gpu-backend/experiments/distributions/student-t.ts';
import { expectClose, golden } from '../golden.ts';

describe("Student's t", () => {
  it.each(golden.student.tails)('tail at $t with $df degrees of freedom', ({ t, df, tail }) => {
    expectClose(studentTail(t, df), tail);
  });

  it.each(golden.student.criticals)('critical value of $confidence with $df', ({ confidence, df, critical }) => {
    expectClose(studentCritical(confidence, df), critical);
  });

  it('falls from 1/2 without a step where one expansion takes over from the other', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.5, max: 1e7, noNaN: true }),
        fc.double({ min: 0, max: 30, noNaN: true }),
        (df, t) => {
          const here = studentTail(t, df);
          const there = studentTail(t * (1 + 1e-6) + 1e-9, df);
          expect(here).toBeLessThanOrEqual(0.5);
          expect(there).toBeLessThanOrEqual(here * (1 + 1e-9));
          expect(there).toBeGreaterThanOrEqual(here * 0.99);
        },
      ),
      { seed: 1 },
    );
  });

  it('inverts: the tails beyond the critical value hold what the confidence leaves', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e6, noNaN: true }),
        fc.double({ min: 0.5, max: 0.9999, noNaN: true }),
        (df, c) => {
          expectClose(2 * studentTail(studentCritical(c, df), df), 1 - c);
        },
      ),
      { seed: 2 },
    );
  });

  it('never gives a p-value of 0', () => {
    expect(studentPValue(1e6, 1e6)).toBe(Number.MIN_VALUE);
    expect(studentPValue(-1e200, 50)).toBe(Number.MIN_VALUE);
    expect(studentPValue(0, 10)).toBe(1);
  });
});

describe('chi-square', () => {
  it.each(golden.chiSquare)('tail at $x with $df degrees of freedom', ({ x, df, tail }) => {
    expectClose(chiSquareTail(x, df), tail);
  });

  it('agrees with the distribution function wherever that can be subtracted from 1', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 60, noNaN: true }), fc.integer({ min: 1, max: 19 }), (x, df) => {
        expect(chiSquareTail(x, df)).toBeCloseTo(1 - chiSquareCdf(x, df), 10);
      }),
      { seed: 3 },
    );
  });

  it('never gives a p-value of 0', () => {
    expect(chiSquarePValue(64_000, 1)).toBe(Number.MIN_VALUE);
    expect(chiSquarePValue(Number.POSITIVE_INFINITY, 2)).toBe(Number.MIN_VALUE);
  });
});
