/** Principal components against known ones, and what a projection keeps. */
import { describe, expect, it } from 'vitest';
import { applyMap, mapped } from '../../../training/teacher/linear-map.ts';
import { fitProjection } from '../../../training/teacher/projection.ts';
import { normalizeRows, type Teacher } from '../../../training/teacher/teacher.ts';
import { gaussians } from '../../fixtures/random.ts';
import { cosine } from '../golden.ts';

const FROM = 12;

/** Orthonormal directions, by Gram and Schmidt. */
function directions(count: number, seed: number): Float64Array[] {
  const normal = gaussians(seed);
  const found: Float64Array[] = [];
  while (found.length < count) {
    const next = Float64Array.from({ length: FROM }, normal);
    for (const other of found) {
      const along = next.reduce((sum, value, i) => sum + value * other[i]!, 0);
      for (let i = 0; i < FROM; i++) next[i] = next[i]! - along * other[i]!;
    }
    const length = Math.hypot(...next);
    found.push(next.map((value) => value / length));
  }
  return found;
}

/** Vectors whose second moment has exactly these directions, each with its strength: for every direction a vector there and one back. */
function crosses(strengths: readonly number[], seed: number) {
  const axes = directions(strengths.length, seed);
  const rows = axes.flatMap((axis, i) => [1, -1].map((sign) => axis.map((value) => sign * strengths[i]! * value)));
  return { axes, sample: Float32Array.from(rows.flatMap((row) => [...row])) };
}

/** Vectors of length 1 in a space of `rank` dimensions. */
function lowRank(count: number, { rank, seed }: { rank: number; seed: number }): Float32Array<ArrayBuffer> {
  const axes = directions(rank, 1);
  const normal = gaussians(seed);
  const rows = Array.from({ length: count }, () => {
    const row = new Float64Array(FROM);
    for (const axis of axes) {
      const along = normal();
      for (let i = 0; i < FROM; i++) row[i] = row[i]! + along * axis[i]!;
    }
    return [...row];
  });
  return normalizeRows(Float32Array.from(rows.flat()), FROM);
}

const row = (vectors: Float32Array, i: number, dimension: number) =>
  vectors.subarray(i * dimension, (i + 1) * dimension);

describe('fitProjection', () => {
  it('finds planted components in the order of their strength, and the share they hold', async () => {
    const strengths = [1, 5, 3, 2, 4, 0.5];
    const { axes, sample } = crosses(strengths, 3);
    const { map, kept } = await fitProjection(sample, { from: FROM, to: 3, threads: 1 });
    for (const [column, axis] of [axes[1]!, axes[4]!, axes[2]!].entries()) {
      const component = Float64Array.from({ length: FROM }, (_, i) => map.query[i * 3 + column]!);
      const largest = axis.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best));
      component.forEach((value, i) => {
        expect(value).toBeCloseTo(Math.sign(largest) * axis[i]!, 5);
      });
    }
    expect(kept).toBeCloseTo((25 + 16 + 9) / (1 + 25 + 9 + 4 + 16 + 0.25), 6);
  });

  it('keeps all cosines of vectors that have no more dimensions, and so their order', async () => {
    const sample = lowRank(60, { rank: 4, seed: 5 });
    const { map, kept } = await fitProjection(sample, { from: FROM, to: 4, threads: 1 });
    expect(kept).toBeCloseTo(1, 6);
    const fresh = lowRank(30, { rank: 4, seed: 6 });
    const small = await applyMap(map, fresh, { role: 'query', threads: 1 });
    for (let a = 0; a < 30; a++) {
      expect(Math.hypot(...row(small, a, 4))).toBeCloseTo(1, 5);
      for (let b = 0; b < a; b++) {
        const before = cosine(row(fresh, a, FROM), row(fresh, b, FROM));
        expect(cosine(row(small, a, 4), row(small, b, 4))).toBeCloseTo(before, 5);
      }
    }
  });

  it('is the same, bit for bit, for the same sample', async () => {
    const sample = lowRank(60, { rank: 9, seed: 5 });
    const fitted = async () => (await fitProjection(sample, { from: FROM, to: 5, threads: 1 })).map;
    expect(await fitted()).toEqual(await fitted());
  });

  it('refuses to widen, or to fit to too little', async () => {
    const sample = lowRank(4, { rank: 4, seed: 5 });
    await expect(fitProjection(sample, { from: FROM, to: 13 })).rejects.toThrow('projection from 12 to 13 dimensions');
    await expect(fitProjection(sample, { from: FROM, to: 5 })).rejects.toThrow('at least 5 vectors, received 4');
  });
});

describe('a mapped teacher', () => {
  const base: Teacher = {
    name: 'base',
    sha256: 'ab',
    dimension: FROM,
    license: 'MIT',
    source: 'a test',
    encode: async (texts) => lowRank(texts.length, { rank: 6, seed: 8 }),
    close: async () => {},
  };

  it('has the new dimension, a name and a digest of its own, and maps queries and documents each in their way', async () => {
    const { map } = await fitProjection(lowRank(60, { rank: 9, seed: 5 }), { from: FROM, to: 5, threads: 1 });
    const both = { ...map, document: map.document.map((value) => -value) };
    const teacher = await mapped(base, both, { threads: 1 });
    expect(teacher).toMatchObject({ name: 'base+pca-5', dimension: 5, license: 'MIT', source: 'a test' });
    const digests = [base, teacher, await mapped(base, map), await mapped({ ...base, sha256: 'cd' }, map)];
    expect(new Set(digests.map(({ sha256 }) => sha256)).size).toBe(4);
    const [query, document] = [
      await teacher.encode(['a', 'b'], { role: 'query' }),
      await teacher.encode(['a', 'b'], { role: 'document' }),
    ];
    expect(query).toHaveLength(10);
    expect(document).toEqual(query.map((value) => -value));
    await expect(mapped(teacher, map)).rejects.toThrow(
      'expected a teacher of 12 dimensions, received base+pca-5 with 5',
    );
  });
});
