/** Figures that others have printed, each with its source. */
import { describe, expect, it } from 'vitest';
import { chiSquareTail } from '../../../../gpu-backend/experiments/distributions/chi-square.ts';
import { studentCritical } from '../../../../gpu-backend/experiments/distributions/student-t.ts';
import { benjaminiHochberg, holm } from '../../../../gpu-backend/experiments/estimators/multiple.ts';
import { estimateQuantity, momentsOf } from '../../../../gpu-backend/experiments/estimators/quantity.ts';
import { compare } from '../../../../gpu-backend/experiments/estimators/welch.ts';

describe('published figures', () => {
  // Student (1908), "The probable error of a mean": hours of sleep gained with two drugs. Printed with R's manual of
  // t.test: t = -1.8608, df = 17.776, p = 0.07939, interval -3.3654832 to 0.2054832 of the first minus the second.
  it("Welch's test of Student's sleep data", () => {
    const first = [7, -16, -2, -12, -1, 34, 37, 8, 0, 20];
    const second = [19, 8, 11, 1, -1, 44, 55, 16, 46, 34];
    const mean = (tenths: number[]) =>
      estimateQuantity(momentsOf(tenths.map((y) => ({ y }))), { numerator: 'y', scale: 0.1 });
    const found = compare(mean(second), mean(first), 0.95)!;
    expect(found.interval[0]).toBeCloseTo(-3.3654832, 7);
    expect(found.interval[1]).toBeCloseTo(0.2054832, 7);
    expect(found.pValue).toBeCloseTo(0.07939, 5);
  });

  // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2 and 1.3.6.7.4.
  it.each([
    [0.95, 1, 12.706],
    [0.95, 10, 2.228],
    [0.99, 5, 4.032],
    [0.9, 30, 1.697],
    [0.95, 100, 1.984],
  ])('critical value of t at %d with %d degrees of freedom', (confidence, df, printed) => {
    expect(studentCritical(confidence, df)).toBeCloseTo(printed, 3);
  });
  it.each([
    [3.841, 1, 0.05],
    [18.307, 10, 0.05],
    [13.277, 4, 0.01],
    [31.41, 20, 0.05],
  ])('chi-square tail beyond %d with %d degrees of freedom', (x, df, printed) => {
    expect(chiSquareTail(x, df)).toBeCloseTo(printed, 4);
  });

  // Benjamini and Hochberg, JRSS B 57 (1995), section 3.2: 15 comparisons of a thrombolysis trial. At 0.05 their procedure
  // rejects the four smallest; the familywise ones reject three.
  it("Benjamini and Hochberg's fifteen p-values", () => {
    const pValues = [
      0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528, 0.759, 1,
    ];
    const rejected = (adjusted: number[]) => adjusted.filter((p) => p <= 0.05).length;
    expect(rejected(benjaminiHochberg(pValues))).toBe(4);
    expect(rejected(holm(pValues))).toBe(3);
  });

  // Kohavi, Tang and Xu, Trustworthy Online Controlled Experiments (2020), chapter 3: 821,588 and 815,482 users where equal
  // shares were meant; p = 1.8e-6.
  it('a sample-ratio mismatch', () => {
    const [a, b] = [821_588, 815_482];
    expect(chiSquareTail((a - b) ** 2 / (a + b), 1)).toBeCloseTo(1.8e-6, 7);
  });
});
