import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitsSimd, simdRows } from '../../../gpu-backend/index/simd-rows.ts';
import { int8Rows } from '../../../gpu-backend/index/vector-rows.ts';
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

describe('rows in WebAssembly memory', () => {
  const shapes = fc.record({
    count: fc.integer({ min: 1, max: 40 }),
    dimension: fc.integer({ min: 1, max: 60 }).map((eighth) => 8 * eighth),
    seed: fc.integer(),
    extreme: fc.boolean(),
  });

  it('score as int8 rows in JavaScript do, whatever the shape, one by one and together', () => {
    fc.assert(
      fc.property(shapes, ({ count, dimension, seed, extreme }) => {
        const [random, normal] = [uniforms(seed), gaussians(seed + 1)];
        const component = () => (extreme ? (random() < 0.5 ? -127 : 127) : Math.round(random() * 254 - 127));
        const data = Int8Array.from({ length: count * dimension }, component);
        // The query that comes nearest to leaving int32 is the row itself.
        const query = extreme
          ? unit(Float32Array.from(data.subarray(0, dimension)))
          : unit(Float32Array.from({ length: dimension }, normal));
        const [simd, plain] = [simdRows(data, dimension), int8Rows(data, dimension)];
        const chosen = Array.from({ length: 2 * count }, () => Math.floor(random() * count));
        const scores = simd.cosines(chosen, query);
        for (const [i, row] of chosen.entries()) {
          expect(scores[i]).toBeCloseTo(plain.cosine(row, query), 3);
          expect(simd.cosine(row, query)).toBe(scores[i]);
          expect(simd.unit(row)).toEqual(plain.unit(row));
        }
      }),
    );
  });

  it('errs by less than a twentieth of what int8 errs', () => {
    const [dimension, normal] = [384, gaussians(3)];
    const data = Int8Array.from({ length: 500 * dimension }, () =>
      Math.max(-127, Math.min(127, Math.round(40 * normal()))),
    );
    const [simd, plain] = [simdRows(data, dimension), int8Rows(data, dimension)];
    const query = unit(Float32Array.from({ length: dimension }, normal));
    for (let row = 0; row < 500; row++) {
      expect(Math.abs(simd.cosine(row, query) - plain.cosine(row, query))).toBeLessThan(5e-5);
    }
  });

  it('score more rows than one call holds', () => {
    const data = Int8Array.from({ length: 3000 * 8 }, (_, i) => ((i * 37) % 255) - 127);
    const [simd, plain] = [simdRows(data, 8), int8Rows(data, 8)];
    const query = unit(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const rows = Array.from({ length: 3000 }, (_, row) => 2999 - row);
    const scores = simd.cosines(rows, query);
    for (const row of [0, 1023, 1024, 2048, 2999]) expect(scores[row]).toBeCloseTo(plain.cosine(rows[row]!, query), 3);
  });

  it('give 0 for a row of zeros, and take no rows at all', () => {
    expect(simdRows(new Int8Array(8), 8).cosine(0, unit(new Float32Array(8).fill(1)))).toBe(0);
    expect(simdRows(new Int8Array(0), 8).cosines([], new Float32Array(8))).toHaveLength(0);
  });

  it('refuse what they cannot hold', () => {
    expect(fitsSimd(10, 12)).toBe(false);
    expect(fitsSimd(12_000_000, 384)).toBe(false);
    expect(fitsSimd(11_000_000, 384)).toBe(true);
    expect(() => simdRows(new Int8Array(24), 12)).toThrow(/multiple of 8 components/);
  });
});
