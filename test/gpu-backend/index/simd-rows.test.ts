import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitsSimd, openSimdRows, simdRows } from '../../../gpu-backend/index/simd-rows.ts';
import { int16Rows, sixteenBits, type VectorRows } from '../../../gpu-backend/index/vector-rows.ts';
import { assemble } from '../../../scripts/assemble.ts';
import { gaussians, uniforms } from '../../fixtures/random.ts';
import { unit } from '../../fixtures/vectors.ts';

it('the committed dots.wasm is dots.wat, assembled', () => {
  const [text, bytes] = [
    readFileSync('gpu-backend/index/dots.wat', 'utf8'),
    readFileSync('gpu-backend/index/dots.wasm'),
  ];
  expect(bytes.equals(assemble(text)), 'run node scripts/assemble.ts').toBe(true);
});

/** [count, dimension], each row at the length of 16 bits. */
function matrixOf(count: number, dimension: number, component: () => number): Int16Array {
  const data = new Int16Array(count * dimension);
  for (let row = 0; row < count; row++)
    data.set(sixteenBits(Array.from({ length: dimension }, component)), row * dimension);
  return data;
}
function scoresOf(rows: VectorRows, list: readonly number[], query: Float32Array): Float64Array {
  const scores = new Float64Array(list.length);
  rows.scorer(query)(list, list.length, scores);
  return scores;
}

describe('rows in WebAssembly memory', () => {
  const shapes = fc.record({
    count: fc.integer({ min: 1, max: 40 }),
    dimension: fc.integer({ min: 1, max: 500 }),
    seed: fc.integer(),
    extreme: fc.boolean(),
  });

  it('score a row in the place of a query, rows of any width and rows that joined later', () => {
    for (const dimension of [3, 8, 50]) {
      const rows = simdRows(matrixOf(20, dimension, gaussians(dimension)), dimension);
      rows.append(matrixOf(1, dimension, gaussians(99)));
      const list = Array.from({ length: 21 }, (_, row) => row);
      for (const row of [0, 7, 20]) {
        const scores = new Float64Array(21);
        rows.scorerOf(row)(list, 21, scores);
        expect(scores[row]).toBeCloseTo(1, 3);
        expect(scores).toEqual(scoresOf(rows, list, rows.unit(row)));
      }
    }
  });

  it('score as int16 rows in JavaScript do, whatever the shape, one by one and together', () => {
    fc.assert(
      fc.property(shapes, ({ count, dimension, seed, extreme }) => {
        const [random, normal] = [uniforms(seed), gaussians(seed + 1)];
        const data = matrixOf(count, dimension, () => (extreme ? (random() < 0.5 ? -1 : 1) : normal()));
        // The query that comes nearest to leaving int32 is the row itself.
        const query = extreme
          ? unit(Float32Array.from(data.subarray(0, dimension)))
          : unit(Float32Array.from({ length: dimension }, normal));
        const [simd, plain] = [simdRows(data, dimension), int16Rows(data, dimension)];
        const chosen = Array.from({ length: 2 * count }, () => Math.floor(random() * count));
        const scores = scoresOf(simd, chosen, query);
        for (const [i, row] of chosen.entries()) {
          expect(Math.abs(scores[i]! - plain.cosine(row, query))).toBeLessThan(1e-3);
          expect(simd.cosine(row, query)).toBe(scores[i]);
          const exact = plain.unit(row);
          for (const [j, value] of simd.unit(row).entries()) expect(Math.abs(value - exact[j]!)).toBeLessThan(1e-3);
        }
      }),
      { seed: 1, numRuns: 60 },
    );
  });

  it('err by about a hundred-thousandth at 384 dimensions', () => {
    const [dimension, normal] = [384, gaussians(3)];
    const data = matrixOf(500, dimension, normal);
    const [simd, plain] = [simdRows(data, dimension), int16Rows(data, dimension)];
    const query = unit(Float32Array.from({ length: dimension }, normal));
    for (let row = 0; row < 500; row++) {
      expect(Math.abs(simd.cosine(row, query) - plain.cosine(row, query))).toBeLessThan(5e-5);
    }
  });

  it('score more rows than one call holds', () => {
    const data = matrixOf(3000, 8, gaussians(4));
    const [simd, plain] = [simdRows(data, 8), int16Rows(data, 8)];
    const query = unit(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const rows = Array.from({ length: 3000 }, (_, row) => 2999 - row);
    const scores = scoresOf(simd, rows, query);
    for (const row of [0, 511, 512, 1024, 2999]) expect(scores[row]).toBeCloseTo(plain.cosine(rows[row]!, query), 3);
  });

  it('keep two queries apart that are asked in turns', () => {
    const [dimension, normal] = [64, gaussians(5)];
    const rows = simdRows(matrixOf(4, dimension, normal), dimension);
    const queries = [1, 2].map(() => unit(Float32Array.from({ length: dimension }, normal)));
    const scorers = queries.map((query) => rows.scorer(query));
    for (let turn = 0; turn < 2; turn++) {
      for (const [i, scorer] of scorers.entries()) {
        const scores = new Float64Array(4);
        scorer([0, 1, 2, 3], 4, scores);
        expect([...scores]).toEqual([0, 1, 2, 3].map((row) => rows.cosine(row, queries[i]!)));
      }
    }
  });

  it('take more rows, over many pages, without moving those that are there', () => {
    const [dimension, normal] = [100, gaussians(6)];
    const data = matrixOf(1500, dimension, normal);
    const [rows, whole] = [simdRows(data.subarray(0, 3 * dimension), dimension), simdRows(data, dimension)];
    const scorer = rows.scorer(unit(Float32Array.from({ length: dimension }, normal)));
    const before = new Float64Array(3);
    scorer([0, 1, 2], 3, before);
    for (let row = 3; row < 1500; row++) {
      expect(rows.append(data.subarray(row * dimension, (row + 1) * dimension))).toBe(row);
    }
    expect(rows.count).toBe(1500);
    for (let row = 0; row < 1500; row += 7) expect(rows.unit(row)).toEqual(whole.unit(row));
    const after = new Float64Array(3);
    scorer([0, 1, 2], 3, after);
    expect(after).toEqual(before);
  });

  it('give 0 for a row of zeros, and take no rows at all', () => {
    expect(simdRows(new Int16Array(8), 8).cosine(0, unit(new Float32Array(8).fill(1)))).toBe(0);
    expect(scoresOf(simdRows(new Int16Array(0), 8), [], new Float32Array(8))).toHaveLength(0);
  });

  it('refuse what they cannot hold', () => {
    expect(fitsSimd(5_600_000, 384)).toBe(false);
    expect(fitsSimd(5_500_000, 384)).toBe(true);
    expect(() => simdRows(new Int16Array(25), 12)).toThrow(/expected rows of 12 components/);
    const shared = simdRows(new Int16Array(8), 8).share();
    for (let thread = 1; thread < 32; thread++) openSimdRows(shared);
    expect(() => openSimdRows(shared)).toThrow(/at most 32 threads/);
  });
});
