import fc from 'fast-check';
import { expect, it } from 'vitest';
import { packFloats, QueryVector, unpackUnitVector } from '../../shared/query-vector.ts';

const units = fc.array(fc.float({ noNaN: true, min: -1, max: 1 }), { minLength: 1, maxLength: 400 }).map((values) => {
  const length = Math.hypot(...values);
  return Float32Array.from(values, (value, i) => (length < 1e-3 ? (i === 0 ? 1 : 0) : value / length));
});

it('a vector survives the way, to the bit', () => {
  fc.assert(
    fc.property(units, (vector) => {
      const packed = QueryVector.parse({ studentSha256: 'a'.repeat(64), values: packFloats(vector) }).values;
      expect(unpackUnitVector(packed, vector.length)).toEqual(vector);
      expect(Buffer.from(packed, 'base64').readFloatLE(0)).toBe(vector[0]);
    }),
  );
});

it('what is no vector of this width and of length one is refused', () => {
  const unit = Float32Array.of(0.6, 0.8);
  const read = (values: ArrayLike<number>, dimension = 2) =>
    unpackUnitVector(packFloats(Float32Array.from(values)), dimension);
  expect([...read(unit)]).toEqual([...unit]);
  expect(() => read(unit, 3)).toThrow('vector.values: expected 12 bytes, got 8.');
  expect(() => read([1, 0], 1)).toThrow('vector.values: expected 4 bytes, got 8.');
  for (const values of [
    [0, 0],
    [0.6, 0.81],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, 0],
  ])
    expect(() => read(values)).toThrow('expected a vector of length 1');
});
