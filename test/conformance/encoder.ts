/** What every encoder must do (gpu-backend/encoder/encoder.ts); run over the test bundle and wherever an adapter is added. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Encoder } from '../../gpu-backend/encoder/encoder.ts';

export interface EncoderCase {
  name: string;
  open(): Promise<Encoder>;
  /** Texts of clearly different lengths that the model knows words of. */
  texts: readonly string[];
  maxTokens: number;
}

const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

export function encoderConformance({ name, open, texts, maxTokens }: EncoderCase): void {
  describe(`${name} as an encoder`, () => {
    let encoder: Encoder;
    beforeAll(async () => {
      encoder = await open();
    });
    afterAll(() => encoder.close());

    it('says on what it runs', () => {
      expect(encoder.device.provider).toMatch(/^(cpu|cuda|webgpu)$/);
      if (encoder.device.provider !== encoder.device.requested) expect(encoder.device.reason).not.toBe('');
    });

    it('answers a unit vector a text, in the order given', async () => {
      const { vectors } = await encoder.encode(texts);
      expect(vectors).toHaveLength(texts.length);
      for (const [i, vector] of vectors.entries()) {
        expect(vector).toHaveLength(encoder.dimension);
        expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
        const { vectors: alone } = await encoder.encode([texts[i]!]);
        expect(cosine(vector, alone[0]!)).toBeGreaterThan(0.9999);
      }
    });

    it('answers the same in any company', async () => {
      const { vectors } = await encoder.encode(texts);
      const order = fc.shuffledSubarray([...texts.keys()], { minLength: 1 });
      await fc.assert(
        fc.asyncProperty(order, async (indices) => {
          const { vectors: mixed } = await encoder.encode(indices.map((i) => texts[i]!));
          for (const [at, i] of indices.entries()) expect(cosine(mixed[at]!, vectors[i]!)).toBeGreaterThan(0.9999);
        }),
        { seed: 2, numRuns: 15 },
      );
    });

    it('counts the tokens of each text', async () => {
      const alone = await Promise.all(texts.map(async (text) => (await encoder.encode([text])).tokens[0]!));
      expect((await encoder.encode(texts)).tokens).toEqual(alone);
      expect(Math.max(...alone)).toBeLessThanOrEqual(maxTokens);
    });

    it('cuts long texts instead of failing', async () => {
      const long = `${texts[0]} `.repeat(5000);
      const { vectors, tokens } = await encoder.encode([long]);
      expect(tokens).toEqual([maxTokens]);
      expect(Math.hypot(...vectors[0]!)).toBeCloseTo(1, 4);
    });

    it('takes any text that a string can hold', async () => {
      const odd = [
        '',
        ' ',
        '\u0000',
        '\ud800',
        '\udc00\ud800',
        '💥👩‍👩‍👧',
        '\u202e\ufeff',
        'ﷺ',
        'é'.normalize('NFD').repeat(50),
        '的',
      ];
      await fc.assert(
        fc.asyncProperty(fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { maxLength: 8 }), async (random) => {
          const { vectors } = await encoder.encode([...odd, ...random]);
          for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 3);
        }),
        { seed: 3, numRuns: 15 },
      );
    });

    it('answers nothing for nothing', async () => {
      expect(await encoder.encode([])).toEqual({ vectors: [], tokens: [] });
    });

    it('refuses what is too late, and gives an aborted caller its reason, computing neither', async () => {
      const before = encoder.stats().encoded;
      await expect(encoder.encode([texts[0]!], { deadlineAtMs: 1 })).rejects.toMatchObject({
        code: 'deadline_exceeded',
      });
      const gone = AbortSignal.abort(new Error('went away'));
      await expect(encoder.encode([texts[0]!], { signal: gone })).rejects.toThrow('went away');
      expect(encoder.stats().encoded).toBe(before);
    });

    it('finishes what it took before it closes, and takes nothing afterwards', async () => {
      const own = await open();
      const taken = Array.from({ length: 20 }, () => own.encode(texts));
      await own.close();
      for (const { vectors } of await Promise.all(taken)) expect(vectors).toHaveLength(texts.length);
      await expect(own.encode([texts[0]!])).rejects.toMatchObject({ code: 'not_ready' });
      const { encoded, hits, joined, queued, running } = own.stats();
      expect([queued, running, encoded + hits + joined]).toEqual([0, 0, 20 * texts.length]);
    });
  });
}
