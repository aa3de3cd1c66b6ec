/** A student in the Worker's runtime against the same file in the backend's. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { Model } from '../../../edge/student/model.ts';
import { KERNEL } from '../../fixtures/linear-kernel.ts';
import { uniforms } from '../../fixtures/random.ts';
import { TINY_STUDENTS, tinyStudent } from '../../fixtures/tiny-student.ts';

const MAX_TOKENS = 32;
const open = (file: Uint8Array) =>
  Model.open({ bytes: file.length, maxTokens: MAX_TOKENS, kernel: KERNEL, fill: async (memory) => memory.set(file) });

const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

describe.each(TINY_STUDENTS)('%s', (kind) => {
  const { model: file, dimension } = tinyStudent(kind, 300);

  it('gives the vectors of ONNX Runtime, for one token and for the most', async () => {
    const [model, session] = await Promise.all([open(file), InferenceSession.create(file)]);
    const random = uniforms(3);
    for (const length of [1, 2, 3, 5, 8, 13, MAX_TOKENS - 1, MAX_TOKENS]) {
      const ids = Array.from({ length }, () => Math.floor(random() * 300));
      const { embedding } = await session.run({
        input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, length]),
        attention_mask: new Tensor('int64', new BigInt64Array(length).fill(1n), [1, length]),
      });
      const vector = model.run(ids);
      expect(vector).toHaveLength(dimension);
      expect(cosine(vector, vector)).toBeCloseTo(1, 5);
      // An activation that lies between two bytes may fall to either side: one step of 255 in one place.
      expect(cosine(vector, embedding!.data as Float32Array)).toBeGreaterThan(0.9995);
    }
  });

  it('holds its file once', async () => {
    expect((await open(file)).memoryBytes).toBeLessThan(file.length + 3 * 65_536);
  });

  it('refuses what it cannot read: no tokens, too many, an id that is in no table', async () => {
    const model = await open(file);
    expect(() => model.run([])).toThrow('expected 1 to 32 tokens, got 0');
    expect(() => model.run(new Array(33).fill(1))).toThrow('got 33');
    expect(() => model.run([300])).toThrow('expected an id below 300, got 300');
  });
});

describe('a file that is none', () => {
  const { model: file } = tinyStudent('bert', 300);

  it('is refused, cut anywhere', async () => {
    for (const bytes of [1, 100, 5_000, file.length - 1]) {
      await expect(open(file.slice(0, bytes)), `${bytes} bytes`).rejects.toMatchObject({ code: 'bundle_damaged' });
    }
  });

  it('is refused where a layer has a width that the kernel would read beyond', async () => {
    await expect(open(tinyStudent('of 264 columns', 300).model)).rejects.toMatchObject({
      code: 'bundle_damaged',
      message: expect.stringMatching(/expected a weight \[2 a, 16 b\], got .* \[256, 264\]/),
    });
  });

  it('is refused by the name of the operator that is not known', async () => {
    const text = Buffer.from(file).toString('latin1').replaceAll('Gelu', 'Relu');
    await expect(open(Buffer.from(text, 'latin1'))).rejects.toMatchObject({
      code: 'bundle_damaged',
      message: expect.stringContaining('got Relu'),
    });
  });
});
