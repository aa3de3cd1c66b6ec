/** fp16 graphs: what is stored in which type, and their vectors against float32's. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { Graph } from '../../../training/graph/graph.ts';
import { tokenInputs } from '../../../training/nn/architecture.ts';
import { embeddingOf } from '../../../training/nn/encoder.ts';
import { emitModel } from '../../../training/onnx/emit.ts';
import { halve } from '../../../training/onnx/half.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { floatModel, halfModel } from '../../../training/runner/encoder.ts';
import { openSession } from '../../../training/runner/session.ts';
import { readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { expectedTiny, leastCosine, TINY } from '../golden.ts';

const matrix = (shape: readonly number[], values: readonly number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

async function evaluate({ graph, weights }: ReturnType<typeof halve>, x: readonly number[]): Promise<Tensor> {
  const session = await InferenceSession.create(emitModel(graph, { name: 'half', initializers: weights }));
  return (await session.run({ x: new Tensor('float32', Float32Array.from(x), [1, x.length]) })).y as Tensor;
}

describe('halve', () => {
  it('rounds matrices to float16 and gives float32 back', async () => {
    const graph = new Graph();
    graph.output('y', graph.matmul(graph.input('x', 'float32', [1, 2]), graph.parameter('w', [2, 1])));
    // 1 + 2^-12 lies between two float16 numbers; the nearer one is 1.
    const small = halve(graph, new Map([['w', matrix([2, 1], [1 + 2 ** -12, 0.5])]]));
    expect(small.weights.get('w')).toEqual({ dtype: 'float16', shape: [2, 1], data: Float16Array.of(1, 0.5) });
    const y = await evaluate(small, [1, 2]);
    expect(y.type).toBe('float32');
    expect([...y.data]).toEqual([2]);
  });

  it('keeps vectors, sums and products of activations in float32', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [1, 2]);
    const product = graph.matmul(x, graph.parameter('w', [2, 2]));
    // 300 squared is beyond float16.
    graph.output('y', graph.sum(graph.times(product, graph.times(product, graph.parameter('gain', [2]))), [1]));
    const small = halve(
      graph,
      new Map([
        ['w', matrix([2, 2], [1, 0, 0, 1])],
        ['gain', matrix([2], [1, 1])],
      ]),
    );
    expect(small.weights.get('gain')!.dtype).toBe('float32');
    expect([...(await evaluate(small, [300, 400])).data]).toEqual([250_000]);
  });

  it('refuses weights that float16 cannot hold', () => {
    const graph = new Graph();
    graph.output('y', graph.matmul(graph.input('x', 'float32', [1, 1]), graph.parameter('w', [1, 1])));
    expect(() => halve(graph, new Map([['w', matrix([1, 1], [1e5])]]))).toThrow("parameter 'w'");
  });

  it('stores the matrices of an encoder in half, and its products are in float16', async () => {
    const { weights, ...shape } = await readCheckpoint(TINY);
    const graph = new Graph();
    graph.output('embedding', embeddingOf(graph, shape, tokenInputs(graph, ['batch', 'tokens'])));
    const small = halve(graph, weights);
    for (const [name, { dtype, shape: lengths }] of small.weights)
      expect(dtype, name).toBe(lengths.length > 1 ? 'float16' : 'float32');
    const types = (op: string) => new Set(small.graph.nodes.filter((node) => node.op === op).map(({ dtype }) => dtype));
    expect(types('matmul')).toEqual(new Set(['float16']));
    expect(types('softmax')).toEqual(new Set(['float32']));
    expect(types('standardize')).toEqual(new Set(['float32']));
    expect(types('gelu')).toEqual(new Set(['float16']));
  });
});

describe('halfModel', () => {
  it('gives the vectors of the float model', async () => {
    const model = await readCheckpoint(TINY);
    const { ids } = expectedTiny();
    const batch = model.tokenizer.pad(ids.map((row) => [...row]));
    const vectors = await Promise.all(
      [floatModel(model), halfModel(model)].map(async (bytes) => {
        const session = await openSession(bytes, { threads: 1 });
        const { embedding } = await session.run(batch);
        await session.close();
        expect(embedding!.type).toBe('float32');
        return embedding!.data as Float32Array;
      }),
    );
    expect(leastCosine(vectors[1]!, vectors[0]!, model.config.hidden_size)).toBeGreaterThan(0.9999);
    expect(vectors[1]).not.toEqual(vectors[0]);
  });
});
