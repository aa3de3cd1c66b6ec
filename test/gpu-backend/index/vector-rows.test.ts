import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  float32Rows,
  int8Rows,
  int16Rows,
  quantize,
  sameDirection,
  sixteenBits,
} from '../../../gpu-backend/index/vector-rows.ts';
import { unit } from '../../fixtures/vectors.ts';

const vector = fc
  .array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 24, maxLength: 24 })
  .map((values) => Float32Array.from(values))
  .filter((values) => Math.hypot(...values) > 0.1);

describe('int8 rows', () => {
  it('keep the cosine to a hundredth, and bound it', () => {
    fc.assert(
      fc.property(vector, vector, (row, query) => {
        const direction = unit(query);
        const exact = float32Rows(row, 24).cosine(0, direction);
        const coarse = int8Rows(quantize(row), 24).cosine(0, direction);
        expect(Math.abs(coarse - exact)).toBeLessThan(0.02);
        expect(Math.abs(coarse)).toBeLessThanOrEqual(1);
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  it('of 16 bits keep it to a ten-thousandth', () => {
    fc.assert(
      fc.property(vector, vector, (row, query) => {
        const direction = unit(query);
        const exact = float32Rows(row, 24).cosine(0, direction);
        expect(Math.abs(int16Rows(sixteenBits(row), 24).cosine(0, direction) - exact)).toBeLessThan(1e-4);
      }),
      { seed: 4, numRuns: 300 },
    );
    expect([...sixteenBits([3, -4])]).toEqual([19_660, -26_214]);
    expect([...sixteenBits([0, 0])]).toEqual([0, 0]);
  });

  it('do not depend on the scale of the row', () => {
    const query = unit(Float32Array.of(1, 2, 3, 4));
    const [a, b] = [int8Rows(Int8Array.of(10, 20, 30, 31), 4), int8Rows(Int8Array.of(40, 80, 120, 124), 4)];
    expect(a.cosine(0, query)).toBeCloseTo(b.cosine(0, query), 6);
  });

  it('score a row of zeros 0', () => {
    expect(int8Rows(new Int8Array(4), 4).cosine(0, unit(Float32Array.of(1, 1, 1, 1)))).toBe(0);
    expect([...quantize(new Float32Array(3))]).toEqual([0, 0, 0]);
  });

  it('refuse a matrix that is not whole rows', () => {
    expect(() => int8Rows(new Int8Array(10), 4)).toThrow('expected rows of 4 components, got 10 components in all');
  });
});

test('a vector is the same whatever its scale and however it was stored, and another one is not', () => {
  fc.assert(
    fc.property(vector, vector, (values, other) => {
      fc.pre(float32Rows(other, 24).cosine(0, unit(values)) < 0.9999);
      for (const stored of [quantize(values), sixteenBits(values)]) {
        expect(sameDirection(stored, int16Rows(sixteenBits(stored), 24).unit(0))).toBe(true);
        expect(sameDirection(other, stored)).toBe(false);
      }
    }),
    { seed: 5, numRuns: 200 },
  );
});
