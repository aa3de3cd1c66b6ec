/** Every architecture against its reference in PyTorch: token ids, hidden states, vectors, gradients; then training, int8 and pruning. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backward } from '../../../training/graph/backward.ts';
import { Graph, type Value } from '../../../training/graph/graph.ts';
import { tokenInputs } from '../../../training/nn/architecture.ts';
import { type EncoderConfig, embeddingOf, feedForward, statesOf, wordTable } from '../../../training/nn/encoder.ts';
import { squaredDistance } from '../../../training/nn/losses.ts';
import { adamW } from '../../../training/nn/optimizers/adamw.ts';
import { Qwen3Config } from '../../../training/nn/qwen3.ts';
import { emitModel } from '../../../training/onnx/emit.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { layerImportance, prune } from '../../../training/phases/prune.ts';
import { CpuRunner } from '../../../training/runner/cpu.ts';
import {
  channelRanges,
  type EncoderModel,
  floatModel,
  halfModel,
  int8Model,
  TextEncoderSession,
} from '../../../training/runner/encoder.ts';
import { compileStep } from '../../../training/runner/step.ts';
import { type Checkpoint, readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { leastCosine, norm } from '../golden.ts';
import { TINY_GOLDEN, uniform, writeTiny } from '../tiny-checkpoint.ts';

const DIM = 16;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-encoders-'));
});
afterAll(() => rm(folder, { recursive: true }));

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const apart = Array.from(expected, (value, i) => Math.abs(value - actual[i]!));
  expect(Math.max(...apart)).toBeLessThan(tolerance);
}

/** The outputs of a graph by name, flat. */
async function compute(
  graph: Graph,
  weights: ReadonlyMap<string, TensorData>,
  inputs: ReadonlyMap<string, TensorData>,
): Promise<Map<string, Float32Array>> {
  const session = await InferenceSession.create(emitModel(graph, { name: 'test', initializers: weights }), {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  const feeds = session.inputNames.map((name) => {
    const { dtype, data, shape } = inputs.get(name)!;
    return [name, new Tensor(dtype as 'float32', data as Float32Array, shape)];
  });
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return new Map(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
}

describe.each(TINY_GOLDEN)('$name', (tiny) => {
  let checkpoint: Checkpoint;
  beforeAll(async () => {
    await writeTiny(join(folder, tiny.name), tiny);
    checkpoint = await readCheckpoint(join(folder, tiny.name));
  });
  const rows = tiny.texts.length;
  const open = (model: EncoderModel | Uint8Array, dimension = DIM) =>
    TextEncoderSession.open(model, { tokenizer: checkpoint.tokenizer, dimension, threads: 1 });
  const batch = () => checkpoint.tokenizer.pad(tiny.ids);
  /** The padded batch as a step's inputs, with the target of the golden gradients. */
  const inputs = (): Map<string, TensorData> => {
    const { inputIds, attentionMask, tokens } = batch();
    return new Map<string, TensorData>([
      ['input_ids', { dtype: 'int64', shape: [rows, tokens], data: inputIds }],
      ['attention_mask', { dtype: 'int64', shape: [rows, tokens], data: attentionMask }],
      ['target', { dtype: 'float32', shape: [rows, DIM], data: uniform('target', rows * DIM) }],
    ]);
  };
  const distance = (graph: Graph): Value =>
    squaredDistance(
      graph,
      embeddingOf(graph, checkpoint, tokenInputs(graph, [rows, 'tokens'])),
      graph.input('target', 'float32', [rows, DIM]),
    );

  it('tokenises as the reference does, with and without prompt', () => {
    const ids = (prompt: string) => tiny.texts.map((text) => checkpoint.tokenizer.encode(prompt + text));
    expect(ids('')).toEqual(tiny.ids);
    expect(checkpoint.queryPrompt).toBe(tiny.prompt);
    expect(ids(checkpoint.queryPrompt)).toEqual(tiny.promptedIds);
  });

  it('has the hidden states of the reference after each layer', async () => {
    const graph = new Graph();
    const states = statesOf(graph, checkpoint.config, tokenInputs(graph, ['batch', 'tokens']));
    for (const [i, state] of states.entries()) graph.output(`${i}`, state);
    const results = await compute(graph, checkpoint.weights, inputs());
    expect(states).toHaveLength(tiny.states.length);
    const { attentionMask } = batch();
    for (const [i, expected] of tiny.states.entries()) {
      const real = results.get(`${i}`)!.filter((_, at) => attentionMask[Math.floor(at / DIM)] === 1n);
      expectClose(real, expected, 1e-4);
    }
  });

  it.each(Object.entries(tiny.vectors))(
    'has the vectors of the reference with %s pooling, in any batch',
    async (mode, expected) => {
      const pooling = { mode: mode as 'mean', normalize: true };
      const session = await open({ ...checkpoint, pooling });
      const [padded, sorted] = [await session.run(batch()), await session.encode(tiny.texts)];
      const prompted = await session.encode(tiny.texts.map((text) => checkpoint.queryPrompt + text));
      await session.close();
      for (const [vectors, reference] of [
        [padded, expected],
        [sorted, expected],
        [prompted, tiny.promptedVectors[pooling.mode]!],
      ] as const) {
        expect(leastCosine(vectors, reference, DIM)).toBeGreaterThanOrEqual(0.9999);
        expectClose(vectors, reference, 1e-5);
      }
    },
  );

  it('has the gradients of the reference', async () => {
    const graph = new Graph();
    const loss = distance(graph);
    const parameters = graph.nodes.filter((node) => node.op === 'parameter');
    graph.output('loss', loss);
    backward(graph, loss, parameters).forEach((value, i) => {
      graph.output(`gradient of ${parameters[i]!.attributes.name}`, value);
    });
    const results = await compute(graph, checkpoint.weights, inputs());
    expect(results.get('loss')![0]).toBeCloseTo(tiny.gradient.loss, 5);
    for (const { attributes, shape } of parameters) {
      const { name } = attributes;
      // A key's bias shifts all scores of a query alike: its gradient is rounding noise.
      if (name.endsWith('key.bias')) continue;
      const gradient = results.get(`gradient of ${name}`)!;
      expect(norm(gradient) / tiny.gradient.norms[name]!, name).toBeCloseTo(1, 4);
      const row = tiny.gradient.rows[name];
      // Products are stored [in, out]: PyTorch's row is a column.
      const columns = shape.length === 2 ? (shape[1] as number) : 1;
      if (row)
        expectClose(
          gradient.filter((_, i) => i % columns === 0),
          row,
          1e-4,
        );
    }
    const folded = tiny.name === 'bert' ? 1 : 0; // token types lie in the position table
    expect(parameters).toHaveLength(Object.keys(tiny.gradient.norms).length - folded);
  });

  it('learns: some steps of training reduce the loss', async () => {
    const compiled = compileStep({
      build: distance,
      weights: checkpoint.weights,
      frozen: (name) => name === wordTable(checkpoint.config),
      schedule: { peak: 1e-2, warmupSteps: 1, totalSteps: 20, floor: 0.1 },
      optimizer: adamW({ beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0 }),
      clipNorm: 1,
    });
    const runner = await CpuRunner.open(compiled, { threads: 1 });
    const losses: number[] = [];
    for (let step = 0; step < 20; step++) losses.push((await runner.run(inputs())).loss);
    await runner.close();
    expect(losses[0]).toBeCloseTo(tiny.gradient.loss, 5);
    expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.5);
  });

  it('can be pruned by layers', async () => {
    const { config, tokenizer } = checkpoint;
    const importance = await layerImportance(checkpoint, { texts: tiny.texts, tokenizer });
    expect(importance).toHaveLength(config.num_hidden_layers);
    expect(Math.min(...importance)).toBeGreaterThan(0);
    const last = config.num_hidden_layers - 1;
    const student = prune(checkpoint, { keep: [last], maxTokens: 32 });
    const from = feedForward(config, last).outOf;
    expect(student.weights.get(feedForward(config, 0).outOf)).toBe(checkpoint.weights.get(from));
    expect(
      [...student.weights.keys()].filter(
        (name) => name.includes('mlp.down_proj') || name.includes('output.dense.weight'),
      ),
    ).toHaveLength(tiny.name === 'bert' ? 2 : 1);
    const session = await open(student);
    const vectors = await session.encode(tiny.texts);
    await session.close();
    expect(norm(vectors) ** 2).toBeCloseTo(rows, 4);
  });

  it('names the parameters of its feed-forward units', () => {
    const { config, weights } = checkpoint;
    const { into, outOf } = feedForward(config, 0);
    expect(weights.get(outOf)!.shape).toEqual([config.intermediate_size, DIM]);
    for (const name of into) expect(weights.get(name)!.shape.at(-1)).toBe(config.intermediate_size);
    expect(weights.get(wordTable(config))!.shape).toEqual([config.vocab_size, DIM]);
  });

  it('gives the same bits whether the weights lie in the bytes or beside them', async () => {
    const [model, bytes] = [await open(checkpoint), await open(floatModel(checkpoint))];
    expect(await model.encode(tiny.texts)).toEqual(await bytes.encode(tiny.texts));
    await bytes.close();
    await model.close();
  });

  it('stays close in int8 and in fp16', async () => {
    // Tensors below 65,536 elements stay float32: a wider model of the same kind.
    const wide = widened(checkpoint.config);
    const ranges = await channelRanges(wide, { texts: tiny.texts, tokenizer: checkpoint.tokenizer });
    const vectors = async (model: EncoderModel | Uint8Array) => {
      const session = await open(model, 256);
      const result = await session.run(batch());
      await session.close();
      return result;
    };
    const exact = await vectors(wide);
    const small = int8Model(wide, { weightLimit: 127, ranges });
    expect(small.length).toBeLessThan(0.3 * floatModel(wide).length);
    expect(leastCosine(await vectors(small), exact, 256)).toBeGreaterThan(0.99);
    expect(leastCosine(await vectors(halfModel(wide)), exact, 256)).toBeGreaterThan(0.9999);
  });
});

/** A model of 256 channels and random weights, every product of which is large enough for int8. */
function widened(tiny: EncoderConfig): EncoderModel {
  const config = {
    ...tiny,
    ...{
      hidden_size: 256,
      num_hidden_layers: 2,
      intermediate_size: 512,
      num_attention_heads: 8,
      vocab_size: 512,
      max_position_embeddings: 256,
    },
    ...(tiny.model_type === 'qwen3' ? { head_dim: 64, num_key_value_heads: 4 } : {}),
  } as EncoderConfig;
  const pooling = { mode: tiny.model_type === 'qwen3' ? 'last' : 'mean', normalize: true } as const;
  const graph = new Graph();
  embeddingOf(graph, { config, pooling }, tokenInputs(graph, ['batch', 'tokens']));
  const weights = new Map<string, TensorData>();
  for (const node of graph.nodes) {
    if (node.op !== 'parameter') continue;
    const shape = node.shape as readonly number[];
    const gain = /norm\.weight$/i.test(node.attributes.name) ? 1 : 0;
    const spread = shape.length === 2 ? Math.sqrt(12 / shape[0]!) : 0.5;
    const data = uniform(
      node.attributes.name,
      shape.reduce((a, b) => a * b),
    ).map((value) => value * spread + gain);
    weights.set(node.attributes.name, { dtype: 'float32', shape, data });
  }
  return { config, pooling, weights };
}

it('refuses to write a model file of more than 2 GB', () => {
  const graph = new Graph();
  graph.output('y', graph.parameter('x', [2 ** 29]));
  const x: TensorData = { dtype: 'float32', shape: [2 ** 29], data: new Float32Array(2 ** 29) };
  expect(() => emitModel(graph, { name: 'large', initializers: new Map([['x', x]]) })).toThrow(
    /'large': expected at most 2 GB .* received 2147483648 bytes/,
  );
});

describe('Qwen3Config', () => {
  const config = TINY_GOLDEN.find(({ name }) => name === 'qwen3')!.config;

  it.each<[string, object, RegExp]>([
    ['biases of attention', { attention_bias: true }, /attention_bias/],
    ['a sliding window', { use_sliding_window: true }, /use_sliding_window/],
    ['scaled rotations', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, /rope_scaling/],
    ['heads that cannot be grouped', { num_key_value_heads: 3 }, /num_key_value_heads/],
  ])('refuses %s', (_, change, message) => {
    expect(() => Qwen3Config.parse({ ...config, ...change })).toThrow(message);
  });

  it('takes a missing padding token for token 0', () => {
    expect(Qwen3Config.parse({ ...config, pad_token_id: null }).pad_token_id).toBe(0);
  });
});
