/** The compiled training step against PyTorch: gradients of every parameter, then six steps of AdamW with schedule and clipping. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { backward } from '../../../training/graph/backward.ts';
import { Graph, type Value } from '../../../training/graph/graph.ts';
import { tokenInputs } from '../../../training/nn/architecture.ts';
import { BERT } from '../../../training/nn/bert.ts';
import { embeddingOf } from '../../../training/nn/encoder.ts';
import { squaredDistance } from '../../../training/nn/losses.ts';
import { adamW } from '../../../training/nn/optimizers/adamw.ts';
import { emitModel } from '../../../training/onnx/emit.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { prune } from '../../../training/phases/prune.ts';
import { CpuRunner } from '../../../training/runner/cpu.ts';
import type { EncoderModel } from '../../../training/runner/encoder.ts';
import { compileStep } from '../../../training/runner/step.ts';
import { readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { expectedTiny, norm, TINY } from '../golden.ts';

const { gradient, ids, steps } = expectedTiny();
const BATCH = ids.length;
const TOKENS = Math.max(...ids.map((row) => row.length));
let student: EncoderModel;
beforeAll(async () => {
  student = prune(await readCheckpoint(TINY), { keep: [0, 2], maxTokens: 12 });
});

const batch = new Map<string, TensorData>([
  ['input_ids', { dtype: 'int64', shape: [BATCH, TOKENS], data: rows((row, j) => BigInt(row[j] ?? 0)) }],
  ['attention_mask', { dtype: 'int64', shape: [BATCH, TOKENS], data: rows((row, j) => (j < row.length ? 1n : 0n)) }],
  ['target', { dtype: 'float32', shape: [BATCH, 32], data: Float32Array.from(gradient.target) }],
]);

function rows(at: (row: readonly number[], j: number) => bigint): BigInt64Array {
  return BigInt64Array.from(ids.flatMap((row) => Array.from({ length: TOKENS }, (_, j) => at(row, j))));
}

function build(graph: Graph): Value {
  const embedding = embeddingOf(graph, student, tokenInputs(graph, [BATCH, 'tokens']));
  return squaredDistance(graph, embedding, graph.input('target', 'float32', [BATCH, 32]));
}

describe('the training step', () => {
  it('has the gradients that PyTorch computes, the word table included', async () => {
    const graph = new Graph();
    const loss = build(graph);
    const parameters = graph.nodes.filter((node) => node.op === 'parameter');
    graph.output('loss', loss);
    backward(graph, loss, parameters).forEach((value, i) => {
      graph.output(`gradient of ${parameters[i]!.attributes.name}`, value);
    });
    const session = await InferenceSession.create(
      emitModel(graph, { name: 'gradients', initializers: student.weights }),
    );
    const results = await session.run(
      Object.fromEntries(
        [...batch].map(([name, { dtype, data, shape }]) => [
          name,
          new Tensor(dtype as 'float32', data as Float32Array, shape),
        ]),
      ),
    );
    expect((results.loss!.data as Float32Array)[0]).toBeCloseTo(gradient.loss, 5);
    expect(parameters).toHaveLength(Object.keys(gradient.norms).length - 1); // token types are folded into positions
    for (const { attributes } of parameters) {
      const expected = gradient.norms[attributes.name]!;
      // A key's bias shifts all scores of a query alike: its gradient is rounding noise.
      if (attributes.name.endsWith('key.bias')) continue;
      expect(
        norm(results[`gradient of ${attributes.name}`]!.data as Float32Array) / expected,
        attributes.name,
      ).toBeCloseTo(1, 3);
    }
  });

  it('follows six steps of torch.optim.AdamW with warm-up, decay and clipping', async () => {
    const { settings } = steps;
    const compiled = compileStep({
      build,
      weights: student.weights,
      frozen: (name) => name === BERT.wordTable,
      schedule: settings,
      optimizer: adamW(settings),
      clipNorm: settings.clipNorm,
    });
    expect(compiled.trained).not.toContain(BERT.wordTable);
    const runner = await CpuRunner.open(compiled, { threads: 1 });
    for (let step = 0; step < steps.losses.length; step++) {
      const report = await runner.run(batch);
      expect(report.loss, `loss of step ${step + 1}`).toBeCloseTo(steps.losses[step]!, 3);
      expect(report.gradientNorm / steps.gradientNorms[step]!).toBeCloseTo(1, 2);
      expect(report.learningRate).toBeCloseTo(steps.learningRates[step]!, 6);
    }
    const state = await runner.state();
    for (const [name, expected] of Object.entries(steps.parameterNorms)) {
      if (name.endsWith('key.bias')) continue;
      expect(norm(state.get(name)!.data as Float32Array) / expected, name).toBeCloseTo(1, 3);
    }
    const bias = state.get('encoder.layer.1.output.dense.bias')!.data as Float32Array;
    steps.sample['encoder.layer.1.output.dense.bias']!.forEach((value, i) => {
      expect(bias[i]).toBeCloseTo(value, 3);
    });
    // Stored [in, out]: PyTorch's row is a column here.
    const query = state.get('encoder.layer.0.attention.self.query.weight')!.data as Float32Array;
    steps.sample['encoder.layer.0.attention.self.query.weight row 0']!.forEach((value, i) => {
      expect(query[i * 32]).toBeCloseTo(value, 3);
    });
    expect(state.get('step')!.data[0]).toBe(6);
    expect(state.get(BERT.positionTable)!.shape).toEqual([12, 32]);
    await runner.close();
  });

  it('says so when training diverges', async () => {
    const compiled = compileStep({
      build,
      weights: student.weights,
      frozen: () => false,
      schedule: { peak: 1e-3, warmupSteps: 1, totalSteps: 2, floor: 0 },
      optimizer: adamW({ beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 }),
      clipNorm: 1,
    });
    const runner = await CpuRunner.open(compiled, { threads: 1 });
    const broken = new Map(batch).set('target', {
      dtype: 'float32',
      shape: [BATCH, 32],
      data: new Float32Array(BATCH * 32).fill(Number.NaN),
    });
    await expect(runner.run(broken)).rejects.toThrow('diverged');
    await runner.close();
  });
});
