/** int8 weights and tables: error bounds of the numbers, and the rewritten graph against the float one. */
import fc from 'fast-check';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { Graph } from '../../../training/graph/graph.ts';
import { emitModel } from '../../../training/onnx/emit.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { quantize, quantizeMatrix } from '../../../training/onnx/quantize.ts';
import { rangeGraph, rangeName } from '../../../training/onnx/smooth.ts';
import { leastCosine } from '../golden.ts';

describe('quantizeMatrix', () => {
  it('is off by at most half a step in each row or column, and never beyond the limit', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom('rows' as const, 'columns' as const),
        fc.constantFrom(63, 127),
        fc.integer(),
        (rows, columns, along, limit, seed) => {
          const random = seeded(seed);
          const data = Float32Array.from({ length: rows * columns }, () => (random() - 0.5) * 10 ** (random() * 6 - 3));
          const { values, scales } = quantizeMatrix(data, [rows, columns], { along, limit });
          expect(scales).toHaveLength(along === 'rows' ? rows : columns);
          data.forEach((value, i) => {
            const scale = scales[along === 'rows' ? Math.floor(i / columns) : i % columns]!;
            expect(Math.abs(values[i]! * scale - value)).toBeLessThanOrEqual(scale * 0.501);
            expect(Math.abs(values[i]!)).toBeLessThanOrEqual(limit);
          });
        },
      ),
    );
  });

  it('keeps zeros', () => {
    expect(quantizeMatrix(new Float32Array(4), [2, 2], { along: 'rows' })).toEqual({
      values: new Int8Array(4),
      scales: Float32Array.of(1, 1),
    });
  });
});

const [ROWS, WIDTH, OUT] = [512, 256, 256];
const random = seeded('weights');
const matrix = (rows: number, columns: number): TensorData => ({
  dtype: 'float32',
  shape: [rows, columns],
  data: Float32Array.from({ length: rows * columns }, () => random() * 2 - 1),
});
const weights = new Map([
  ['table', matrix(ROWS, WIDTH)],
  ['dense', matrix(WIDTH, OUT)],
]);
/** Looks up rows, multiplies one channel by `outlier`, and projects. */
function model(graph: Graph, outlier: number): void {
  const rows = graph.gather(graph.parameter('table', [ROWS, WIDTH]), graph.input('ids', 'int64', ['batch']));
  const channel = graph.constant([outlier, ...Array(WIDTH - 1).fill(1)], [WIDTH]);
  graph.output('y', graph.matmul(graph.times(rows, channel), graph.parameter('dense', [WIDTH, OUT])));
}
async function run(model: Uint8Array): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  const results = await session.run({ ids: new Tensor('int64', BigInt64Array.from([0n, 5n, 511n, 37n]), [4]) });
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
}

describe('quantize', () => {
  it.each([63, 127] as const)(
    'stores weights and tables as int8 (weights up to %i) and stays close',
    async (weightLimit) => {
      const graph = new Graph();
      model(graph, 1);
      const small = quantize(graph, { weights, weightLimit });
      expect([...small.weights].filter(([, { dtype }]) => dtype === 'int8').map(([name]) => name)).toEqual([
        'table.int8',
        'dense.int8',
      ]);
      const bytes = emitModel(small.graph, { name: 'small', initializers: small.weights });
      const full = emitModel(graph, { name: 'full', initializers: weights });
      expect(bytes.length).toBeLessThan(full.length * 0.27);
      expect(leastCosine((await run(bytes)).y!, (await run(full)).y!, OUT)).toBeGreaterThan(0.999);
    },
  );

  it('needs smoothing where one channel is much larger than the rest', async () => {
    const graph = new Graph();
    model(graph, 200);
    const full = (await run(emitModel(graph, { name: 'full', initializers: weights }))).y!;
    const measured = await run(
      emitModel(
        rangeGraph((g) => model(g, 200)),
        { name: 'ranges', initializers: weights },
      ),
    );
    const cosineWith = async (ranges: Record<string, Float32Array>) => {
      const small = quantize(graph, { weights, weightLimit: 127, ranges: new Map(Object.entries(ranges)) });
      return leastCosine(
        (await run(emitModel(small.graph, { name: 'small', initializers: small.weights }))).y!,
        full,
        OUT,
      );
    };
    const [rough, smooth] = [await cosineWith({}), await cosineWith({ dense: measured[rangeName('dense')]! })];
    expect(1 - smooth).toBeLessThan((1 - rough) / 3);
  });

  it('leaves small parameters and transposed products alone', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['batch', 256]);
    const weight = graph.parameter('dense', [WIDTH, OUT]);
    graph.output('y', graph.plus(graph.matmul(x, weight, { transB: true }), graph.parameter('bias', [OUT])));
    const bias: TensorData = { dtype: 'float32', shape: [OUT], data: new Float32Array(OUT) };
    const small = quantize(graph, { weights: new Map([...weights, ['bias', bias]]), weightLimit: 127 });
    expect([...small.weights.keys()].sort()).toEqual(['bias', 'dense']);
  });
});
