/** Where a student starts: the teacher, another checkpoint with another width, or nothing; the same seed gives the same weights. */
import { beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/digest.ts';
import { BertConfig } from '../../../training/nn/bert.ts';
import { embeddingWidth } from '../../../training/nn/encoder.ts';
import { truncatedNormal } from '../../../training/nn/initial.ts';
import { initialStudent, type StudentOptions } from '../../../training/phases/student.ts';
import { type EncoderModel, floatModel, int8Model, TextEncoderSession } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { leastCosine, norm, TINY } from '../golden.ts';

const TEXTS = ['red wool sock', 'cheap leather belt for men'];

let teacher: Checkpoint;
beforeAll(async () => {
  teacher = await readCheckpoint(TINY);
});
const start = (options: Partial<StudentOptions>) =>
  initialStudent({ from: 'teacher', teacher, dimension: 32, maxTokens: 8, seed: 1, ...options });
async function vectors(model: EncoderModel, bytes = floatModel(model)): Promise<Float32Array> {
  const session = await TextEncoderSession.open(bytes, {
    tokenizer: teacher.tokenizer,
    dimension: embeddingWidth(model),
    threads: 1,
  });
  const result = await session.encode(TEXTS);
  await session.close();
  return result;
}
const digest = async (model: EncoderModel) => sha256Hex(floatModel(model));

describe('initialStudent', () => {
  it('from the teacher: the same vectors, with fewer positions', async () => {
    const { model, tokenizer } = start({});
    expect(model.config.max_position_embeddings).toBe(8);
    expect(tokenizer.maxTokens).toBe(8);
    expect(model.projection).toBeUndefined();
    expect(await vectors(model)).toEqual(await vectors(teacher));
    expect(() => initialStudent({ from: 'teacher', dimension: 32, maxTokens: 8, seed: 1 })).toThrow(
      'expected a teacher that is a checkpoint',
    );
  });

  it('from another checkpoint: a seeded map to the width of the space, in the exported graphs too', async () => {
    const from = { checkpoint: teacher };
    const { model } = start({ from, dimension: 48 });
    expect(embeddingWidth(model)).toBe(48);
    expect(model.weights.get('projection.weight')!.shape).toEqual([32, 48]);
    const exact = await vectors(model);
    expect(exact).toHaveLength(2 * 48);
    for (let row = 0; row < 2; row++) expect(norm(exact.subarray(row * 48, (row + 1) * 48))).toBeCloseTo(1, 5);
    const small = await vectors(model, int8Model(model, { weightLimit: 127 }));
    expect(leastCosine(small, exact, 48)).toBeGreaterThan(0.99);
    expect(await digest(start({ from, dimension: 48 }).model)).toBe(await digest(model));
    expect(await digest(start({ from, dimension: 48, seed: 2 }).model)).not.toBe(await digest(model));
  });

  it('from scratch: by its configuration, seeded', async () => {
    const scratch = BertConfig.parse({ ...teacher.config, num_hidden_layers: 1, hidden_size: 16 });
    const { model } = start({ from: { scratch }, dimension: 16 });
    const values = (name: string) => [...(model.weights.get(name)!.data as Float32Array)];
    expect(new Set(values('encoder.layer.0.output.LayerNorm.weight'))).toEqual(new Set([1]));
    expect(new Set(values('encoder.layer.0.output.LayerNorm.bias'))).toEqual(new Set([0]));
    expect(new Set(values('encoder.layer.0.intermediate.dense.bias'))).toEqual(new Set([0]));
    expect(model.weights.get('embeddings.position_embeddings.weight')!.shape).toEqual([8, 16]);
    expect(await vectors(model)).toHaveLength(32);
    expect(await digest(start({ from: { scratch }, dimension: 16 }).model)).toBe(await digest(model));
    expect(await digest(start({ from: { scratch }, dimension: 16, seed: 2 }).model)).not.toBe(await digest(model));
    expect(() => initialStudent({ from: { scratch }, dimension: 16, maxTokens: 8, seed: 1 })).toThrow('tokenizer.json');
  });
});

describe('truncatedNormal', () => {
  it('has the moments of a normal distribution cut at two standard deviations', () => {
    const values = truncatedNormal([100, 200], { width: 0.02, name: 'w', seed: 1 }).data as Float32Array;
    const mean = values.reduce((a, b) => a + b) / values.length;
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(0.04);
    expect(mean / 0.02).toBeCloseTo(0, 1);
    // Standard deviation of the standard normal distribution cut at +-2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
    expect(norm(values) / Math.sqrt(values.length) / 0.02).toBeCloseTo(0.8796, 2);
  });
});
