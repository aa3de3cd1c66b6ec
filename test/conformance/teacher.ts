/** What every teacher must do (training/teacher/teacher.ts), whatever it is made of. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Role, Teacher } from '../../training/teacher/teacher.ts';
import { leastCosine } from '../training/golden.ts';

export interface TeacherCase {
  readonly name: string;
  /** The teacher, opened anew with each call. */
  open(): Promise<Teacher>;
  /** The same with one thing changed that decides its vectors, by what that is; each must be another teacher. */
  readonly others: Readonly<Record<string, () => Promise<Teacher>>>;
  /** Texts that it has vectors of, all different, for both sides. */
  readonly texts: readonly string[];
}

const ROLES: readonly Role[] = ['query', 'document'];

export function teacherConformance({ name, open, others, texts }: TeacherCase): void {
  describe(`${name} as a teacher`, () => {
    let teacher: Teacher;
    beforeAll(async () => {
      teacher = await open();
    });
    afterAll(() => teacher.close());

    it('says what it is', () => {
      expect(teacher.name).not.toBe('');
      expect(teacher.source).not.toBe('');
      expect(teacher.license).not.toBe('');
      expect(teacher.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(teacher.dimension).toBeGreaterThan(0);
    });

    it.each(ROLES)('answers each %s with a vector of length 1', async (role) => {
      const { dimension } = teacher;
      const vectors = await teacher.encode(texts, { role });
      expect(vectors).toBeInstanceOf(Float32Array);
      expect(vectors).toHaveLength(texts.length * dimension);
      for (let i = 0; i < texts.length; i++) {
        expect(Math.hypot(...vectors.subarray(i * dimension, (i + 1) * dimension))).toBeCloseTo(1, 5);
      }
    });

    it.each(ROLES)('gives a %s the same vector alone, in company, in any order and more than once', async (role) => {
      const { dimension } = teacher;
      const vectors = await teacher.encode(texts, { role });
      const row = (from: Float32Array, i: number) => from.subarray(i * dimension, (i + 1) * dimension);
      const mixed = [...texts.keys()].reverse().flatMap((i) => (i % 2 === 0 ? [i, i] : [i]));
      const together = await teacher.encode(
        mixed.map((i) => texts[i]!),
        { role },
      );
      for (const [at, i] of mixed.entries()) {
        expect(leastCosine(row(together, at), row(vectors, i), dimension)).toBeGreaterThan(0.999999);
      }
      for (const [i, text] of texts.entries()) {
        const alone = await teacher.encode([text], { role });
        expect(leastCosine(alone, row(vectors, i), dimension)).toBeGreaterThan(0.999999);
      }
      // Different texts are told apart: the comparisons above mean something.
      expect(leastCosine(row(vectors, 0), row(vectors, 1), dimension)).toBeLessThan(0.999);
    });

    it('answers nothing for nothing', async () => {
      for (const role of ROLES) expect(await teacher.encode([], { role })).toHaveLength(0);
    });

    it('tells how many are done, up to all', async () => {
      const told: number[] = [];
      await teacher.encode(texts, { role: 'query', onProgress: (done) => told.push(done) });
      expect(told).toEqual([...told].sort((a, b) => a - b));
      expect(told.at(-1)).toBe(texts.length);
    });

    it('is the same teacher when it is opened again', async () => {
      const again = await open();
      expect(again.sha256).toBe(teacher.sha256);
      const [first, second] = [
        await teacher.encode(texts, { role: 'query' }),
        await again.encode(texts, { role: 'query' }),
      ];
      expect(leastCosine(first, second, teacher.dimension)).toBeGreaterThan(0.999999);
      await again.close();
    });

    it.each(Object.keys(others))('is another teacher with another %s', async (what) => {
      const other = await others[what]!();
      expect(other.sha256).not.toBe(teacher.sha256);
      await other.close();
    });
  });
}
