/** GradCache against one graph over the whole batch: the same loss and the same weights after some steps, whatever the chunks. */
import { describe, expect, it } from 'vitest';
import { tokenInputs } from '../../../training/nn/architecture.ts';
import { embeddingOf } from '../../../training/nn/encoder.ts';
import { contrastive, initialLogitScale, LOGIT_SCALE, learntTemperature } from '../../../training/nn/losses.ts';
import { adamW } from '../../../training/nn/optimizers/adamw.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { CpuRunner } from '../../../training/runner/cpu.ts';
import { type GradCacheBatch, type GradCacheOptions, GradCacheRunner } from '../../../training/runner/grad-cache.ts';
import { compileStep } from '../../../training/runner/step.ts';
import { readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { TINY } from '../golden.ts';

const checkpoint = await readCheckpoint(TINY);
const QUERIES = ['red shoe', 'a blue belt of leather for men', 'wool'];
const DOCUMENTS = [
  'red shoe for running',
  'blue leather belt',
  'wool sock',
  'cheap shoe',
  'cheap belt',
  'red sock of wool',
];
const ids = (texts: readonly string[]) => texts.map((text) => checkpoint.tokenizer.encode(text));
const batch: GradCacheBatch = { queries: ids(QUERIES), documents: ids(DOCUMENTS), bias: new Float32Array(18) };
batch.bias[1] = -1e4;

const update = {
  schedule: { peak: 1e-2, warmupSteps: 1, totalSteps: 10, floor: 1 },
  optimizer: adamW({ beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.01 }),
  clipNorm: 1,
  frozen: (name: string) => name.includes('word_embeddings'),
};
const loss =
  (learnt: boolean): GradCacheOptions['loss'] =>
  (graph, inputs) =>
    contrastive(graph, inputs, {
      temperature: learnt ? learntTemperature(graph) : 0.1,
      falseNegativeMargin: 0.5,
      sameTower: true,
    });
const weightsOf = (learnt: boolean) =>
  new Map(learnt ? [...checkpoint.weights, [LOGIT_SCALE, initialLogitScale(0.1)] as const] : checkpoint.weights);

async function byGradCache(chunkTokens: number, learnt: boolean) {
  const runner = await GradCacheRunner.open(
    {
      encoder: { ...checkpoint, weights: weightsOf(learnt) },
      pad: (rows) => checkpoint.tokenizer.pad(rows),
      queries: QUERIES.length,
      documents: DOCUMENTS.length,
      chunkTokens,
      loss: loss(learnt),
      ...update,
    },
    { threads: 1 },
  );
  const reports = await runner.runAll([batch, batch, batch]);
  const state = await runner.state();
  await runner.close();
  return { reports, state };
}

/** The same three steps as one graph. */
async function byOneGraph(learnt: boolean) {
  const step = compileStep({
    build(graph) {
      const inputs = tokenInputs(graph, [QUERIES.length + DOCUMENTS.length, 'tokens']);
      const vectors = embeddingOf(graph, checkpoint, inputs);
      return loss(learnt)(graph, {
        queries: graph.slice(vectors, 0, [0, QUERIES.length]),
        documents: graph.slice(vectors, 0, [QUERIES.length, QUERIES.length + DOCUMENTS.length]),
        bias: graph.input('bias', 'float32', [QUERIES.length, DOCUMENTS.length]),
      });
    },
    weights: weightsOf(learnt),
    ...update,
  });
  const { inputIds, attentionMask, ...size } = checkpoint.tokenizer.pad([...batch.queries, ...batch.documents]);
  const shape = [size.batch, size.tokens];
  const inputs = new Map<string, TensorData>([
    ['input_ids', { dtype: 'int64', shape, data: inputIds }],
    ['attention_mask', { dtype: 'int64', shape, data: attentionMask }],
    [
      'bias',
      { dtype: 'float32', shape: [QUERIES.length, DOCUMENTS.length], data: batch.bias as Float32Array<ArrayBuffer> },
    ],
  ]);
  const runner = await CpuRunner.open(step, { threads: 1 });
  const reports = await runner.runAll([inputs, inputs, inputs]);
  const state = await runner.state();
  await runner.close();
  return { reports, state };
}

describe('GradCache', () => {
  it.each([
    ['a text a chunk', 1, false],
    ['some chunks', 24, false],
    ['one chunk', 10_000, false],
    ['some chunks, with a learnt temperature', 24, true],
  ])('equals one graph over the whole batch: %s', async (_, chunkTokens, learnt) => {
    const [cached, whole] = [await byGradCache(chunkTokens, learnt), await byOneGraph(learnt)];
    whole.reports.forEach((report, i) => {
      expect(cached.reports[i]!.loss).toBeCloseTo(report.loss, 4);
      expect(cached.reports[i]!.gradientNorm).toBeCloseTo(report.gradientNorm, 3);
    });
    expect([...cached.state.keys()].sort()).toEqual([...whole.state.keys()].sort());
    for (const [name, { data }] of whole.state) {
      const found = cached.state.get(name)!.data as Float32Array;
      // Adam divides by gradients that are near zero for some biases: rounding is large there, next to a step of 0.01.
      const apart = Math.max(...[...data].map((value, i) => Math.abs(Number(value) - found[i]!)));
      expect(apart, name).toBeLessThan(name.endsWith('key.bias') ? 0.1 : 1e-3);
    }
  });

  it('says where the loss is no number any more', async () => {
    const runner = await GradCacheRunner.open({
      encoder: checkpoint,
      pad: (rows) => checkpoint.tokenizer.pad(rows),
      queries: QUERIES.length,
      documents: DOCUMENTS.length,
      chunkTokens: 64,
      loss: loss(false),
      ...update,
    });
    await expect(runner.run({ ...batch, bias: new Float32Array(18).fill(Number.NaN) })).rejects.toThrow(/diverged/);
    await runner.close();
  });
});
