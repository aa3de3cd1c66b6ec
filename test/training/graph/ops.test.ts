/** Every operator: its result against a reference, and its gradient against finite differences of that reference. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { backward } from '../../../training/graph/backward.ts';
import { Graph, type Value } from '../../../training/graph/graph.ts';
import { type DType, OPS, type Op } from '../../../training/graph/ops.ts';
import { emitModel } from '../../../training/onnx/emit.ts';
import { typedArray } from '../../../training/onnx/model.ts';
import { broadcastShape, erf, get, matmul, type Plain, reduce, rows, tensor, zip } from './reference.ts';

interface Case {
  readonly what?: string;
  /** Operands: float32 unless said otherwise. */
  readonly operands: readonly (Plain & { readonly dtype?: DType })[];
  readonly build: (graph: Graph, operands: Value[]) => Value;
  readonly reference: (...operands: Plain[]) => Plain;
  /** False for operators through which no gradient flows. */
  readonly gradient?: boolean;
  readonly tolerance?: number;
}

let streams = 0;
/** Numbers in [low, high) that stay off the kinks of piecewise operators. */
function random(shape: readonly number[], [low, high]: readonly [number, number] = [-2, 2]): Plain {
  const next = seeded('operands', streams++);
  return tensor(shape, () => low + (high - low) * next());
}
const ints = (shape: readonly number[], data: readonly number[], dtype: DType = 'int64') => ({ shape, data, dtype });

const binary = (build: Case['build'], f: (a: number, b: number) => number, positive = false): Case[] => {
  const range = positive ? ([0.5, 2] as const) : ([-2, 2] as const);
  return [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3, 4], [4]],
    [
      [2, 1, 4],
      [3, 1],
    ],
    [[2, 3], []],
  ].map(([a, b]) => ({
    what: `[${a}] [${b}]`,
    operands: [random(a!), random(b!, range)],
    build,
    reference: (x, y) => zip([x, y], f),
  }));
};
const unary = (
  op: Parameters<Graph['apply']>[0],
  f: (x: number) => number,
  range?: readonly [number, number],
): Case[] => [{ operands: [random([3, 5], range)], build: (g, [x]) => g.apply(op, x!), reference: (x) => zip([x], f) }];
const reductions = (op: 'sum' | 'mean' | 'max', f: (values: number[]) => number): Case[] =>
  (
    [
      [[1], false],
      [[0, 2], true],
      [[0, 1, 2], false],
    ] as const
  ).map(([axes, keep]) => ({
    what: `axes ${axes}`,
    operands: [random([2, 3, 4])],
    build: (g, [x]) => g[op](x!, axes, keep),
    reference: (x) => reduce(x, axes, keep, f),
  }));
const moments = (row: number[]) => {
  const mean = row.reduce((a, b) => a + b, 0) / row.length;
  return { mean, variance: row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length };
};
const EPSILON = 1e-3;
const table = random([5, 3]);
const lookup = ints([2, 3], [4, 0, 2, 2, 1, 2]);

const CASES: Readonly<Record<Op, readonly Case[]>> = {
  input: [{ operands: [random([2, 3])], build: (g, [x]) => g.plus(x!, 0), reference: (x) => x }],
  parameter: [{ operands: [random([2, 2])], build: (g, [x]) => g.plus(x!, g.scalar(0)), reference: (x) => x }],
  constant: [
    {
      operands: [random([2, 2])],
      build: (g, [x]) => g.times(x!, g.constant([1, 2, 3, 4], [2, 2])),
      reference: (x) => zip([x, { shape: [2, 2], data: [1, 2, 3, 4] }], (a, b) => a * b),
    },
  ],
  positions: [
    {
      operands: [random([2, 5])],
      build: (g, [x]) => g.cast(g.positions(x!, 1), 'float32'),
      reference: () => ({ shape: [5], data: [0, 1, 2, 3, 4] }),
      gradient: false,
    },
  ],
  add: binary(
    (g, [a, b]) => g.plus(a!, b!),
    (a, b) => a + b,
  ),
  sub: binary(
    (g, [a, b]) => g.minus(a!, b!),
    (a, b) => a - b,
  ),
  mul: binary(
    (g, [a, b]) => g.times(a!, b!),
    (a, b) => a * b,
  ),
  div: binary(
    (g, [a, b]) => g.over(a!, b!),
    (a, b) => a / b,
    true,
  ),
  minimum: binary((g, [a, b]) => g.minimum(a!, b!), Math.min),
  maximum: binary((g, [a, b]) => g.maximum(a!, b!), Math.max),
  equal: [
    {
      operands: [ints([2, 2], [1, 2, 3, 4]), ints([2], [1, 4])],
      build: (g, [a, b]) => g.cast(g.equal(a!, b!), 'float32'),
      reference: (a, b) => zip([a, b], (x, y) => Number(x === y)),
      gradient: false,
    },
  ],
  greater: [
    {
      operands: [random([2, 3]), random([3])],
      build: (g, [a, b]) => g.cast(g.greater(a!, b!), 'float32'),
      reference: (a, b) => zip([a, b], (x, y) => Number(x > y)),
      gradient: false,
    },
  ],
  where: [
    {
      operands: [ints([2, 3], [1, 0, 0, 1, 1, 0], 'bool'), random([2, 3]), random([3])],
      build: (g, [c, a, b]) => g.where(c!, a!, b!),
      reference: (c, a, b) => zip([c, a, b], (x, y, z) => (x ? y : z)),
    },
  ],
  neg: unary('neg', (x) => -x),
  exp: unary('exp', Math.exp),
  log: unary('log', Math.log, [0.3, 3]),
  sqrt: unary('sqrt', Math.sqrt, [0.3, 3]),
  erf: unary('erf', erf),
  tanh: unary('tanh', Math.tanh),
  sigmoid: unary('sigmoid', (x) => 1 / (1 + Math.exp(-x))),
  sin: unary('sin', Math.sin),
  cos: unary('cos', Math.cos),
  sign: [
    {
      operands: [random([3, 4])],
      build: (g, [x]) => g.apply('sign', x!),
      reference: (x) => zip([x], Math.sign),
      gradient: false,
    },
  ],
  gelu: unary('gelu', (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)), [-3, 3]),
  cast: [
    {
      operands: [ints([2, 2], [1, -2, 3, 0])],
      build: (g, [x]) => g.cast(x!, 'float32'),
      reference: (x) => x,
      gradient: false,
    },
  ],
  softmax: [
    {
      operands: [random([2, 3, 4])],
      build: (g, [x]) => g.apply('softmax', x!),
      reference: (x) =>
        rows(x, (row) => {
          const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
          return row.map((value) => Math.exp(value) / total);
        }),
    },
  ],
  standardize: [
    {
      operands: [random([2, 3, 6])],
      build: (g, [x]) => g.standardize(x!, EPSILON),
      reference: (x) =>
        rows(x, (row) => {
          const { mean, variance } = moments(row);
          return row.map((value) => (value - mean) / Math.sqrt(variance + EPSILON));
        }),
    },
  ],
  inverseStd: [
    {
      operands: [random([2, 3, 6])],
      build: (g, [x]) => g.inverseStd(x!, EPSILON),
      reference: (x) => rows(x, (row) => [1 / Math.sqrt(moments(row).variance + EPSILON)]),
    },
  ],
  unitRows: [
    {
      operands: [random([2, 3, 6])],
      build: (g, [x]) => g.add('unitRows', [x!], {}),
      reference: (x) => rows(x, (row) => row.map((value) => value / Math.hypot(...row))),
      gradient: false,
    },
    {
      what: 'zeros',
      operands: [{ shape: [2, 3], data: [0, 0, 0, 0, 3, 4] }],
      build: (g, [x]) => g.add('unitRows', [x!], {}),
      reference: () => ({ shape: [2, 3], data: [0, 0, 0, 0, 0.6, 0.8] }),
      gradient: false,
    },
  ],
  layerNorm: [
    {
      operands: [random([2, 3, 6]), random([6]), random([6])],
      build: (g, [x, gain, bias]) => g.add('layerNorm', [x!, gain!, bias!], { epsilon: EPSILON }),
      reference: (x, gain, bias) =>
        rows(x, (row) => {
          const { mean, variance } = moments(row);
          return row.map(
            (value, i) => ((value - mean) / Math.sqrt(variance + EPSILON)) * gain.data[i]! + bias.data[i]!,
          );
        }),
      gradient: false,
    },
  ],
  reduceSum: reductions('sum', (values) => values.reduce((a, b) => a + b, 0)),
  reduceMean: reductions('mean', (values) => values.reduce((a, b) => a + b, 0) / values.length),
  reduceMax: reductions('max', (values) => Math.max(...values)),
  matmul: [
    [[2, 3], [3, 4], false, false],
    [[3, 2], [3, 4], true, false],
    [[2, 3], [4, 3], false, true],
    [[3, 2], [4, 3], true, true],
    [[2, 5, 3], [3, 4], false, false],
    [[2, 5, 3], [4, 3], false, true],
    [[2, 3, 5], [3, 4], true, false],
    [[2, 2, 3, 4], [2, 2, 5, 4], false, true],
    [[2, 2, 4, 3], [2, 2, 4, 5], true, false],
    [[2, 1, 3, 4], [3, 4, 2], false, false],
  ].map(([a, b, transA, transB]) => ({
    what: `[${a}]${transA ? "'" : ''} [${b}]${transB ? "'" : ''}`,
    operands: [random(a as number[]), random(b as number[])],
    build: (g, [x, y]) => g.matmul(x!, y!, { transA: transA as boolean, transB: transB as boolean }),
    reference: (x, y) => matmul(x, y, transA as boolean, transB as boolean),
  })),
  matmulInt8: [
    {
      operands: [
        random([3, 8]),
        ints(
          [8, 2],
          Array.from({ length: 16 }, (_, i) => ((i * 37) % 127) - 63),
          'int8',
        ),
        random([2], [0.01, 0.02]),
      ],
      build: (g, [x, w, scale]) => g.add('matmulInt8', [x!, w!, scale!], {}),
      reference: (x, w, scale) => zip([matmul(x, w, false, false), scale], (a, b) => a * b),
      gradient: false,
      // Activations have 256 levels.
      tolerance: 0.05,
    },
  ],
  attention: [
    {
      what: 'two heads, the second text one token shorter',
      operands: [
        ...[random([2, 3, 8]), random([2, 3, 8]), random([2, 3, 8])],
        { shape: [2, 1, 1, 3], data: [0, 0, 0, 0, 0, -1e9] },
      ],
      build: (g, operands) => g.add('attention', operands, { heads: 2 }),
      reference: (query, key, value, bias) =>
        tensor([2, 3, 8], ([text, at, place]) => {
          const head = place! - (place! % 4);
          const scores = [0, 1, 2].map((other) => {
            const dot = [0, 1, 2, 3].map(
              (i) => get(query, [text!, at!, head + i]) * get(key, [text!, other, head + i]),
            );
            return dot.reduce((a, b) => a + b) / 2 + get(bias, [text!, 0, 0, other]);
          });
          const shares = scores.map((score) => Math.exp(score));
          const sum = shares.reduce((a, b) => a + b);
          return shares.reduce((all, share, other) => all + (share / sum) * get(value, [text!, other, place!]), 0);
        }),
      gradient: false,
    },
  ],
  reshape: [
    {
      operands: [random([2, 6])],
      build: (g, [x]) => g.reshape(x!, [3, 2, 2]),
      reference: (x) => ({ shape: [3, 2, 2], data: x.data }),
    },
  ],
  transpose: [
    {
      operands: [random([2, 3, 4])],
      build: (g, [x]) => g.transpose(x!, [2, 0, 1]),
      reference: (x) => tensor([4, 2, 3], ([i, j, k]) => get(x, [j!, k!, i!])),
    },
  ],
  expandAs: [
    {
      operands: [random([3, 1]), random([2, 3, 4])],
      build: (g, [x, like]) => g.plus(g.expandAs(x!, like!), g.times(like!, 0)),
      reference: (x, like) => tensor(broadcastShape(x.shape, like.shape), (index) => get(x, index)),
    },
  ],
  concat: [
    {
      operands: [random([2, 1, 2]), random([2, 3, 2])],
      build: (g, parts) => g.concat(parts, 1),
      reference: (a, b) => tensor([2, 4, 2], ([i, j, k]) => (j! < 1 ? get(a, [i!, j!, k!]) : get(b, [i!, j! - 1, k!]))),
    },
  ],
  slice: [
    {
      operands: [random([2, 5])],
      build: (g, [x]) => g.slice(x!, 1, [1, 4]),
      reference: (x) => tensor([2, 3], ([i, j]) => get(x, [i!, j! + 1])),
    },
  ],
  pad: [
    {
      operands: [random([2, 2])],
      build: (g, [x]) => g.pad(x!, 1, [1, 2]),
      reference: (x) => tensor([2, 5], ([i, j]) => (j! >= 1 && j! <= 2 ? get(x, [i!, j! - 1]) : 0)),
    },
  ],
  gather: [
    {
      what: 'rows that repeat',
      operands: [table, lookup],
      build: (g, [t, i]) => g.gather(t!, i!),
      reference: (t, i) => tensor([2, 3, 3], ([a, b, c]) => get(t, [get(i, [a!, b!]), c!])),
    },
  ],
  scatterAdd: [
    {
      what: 'rows that repeat',
      operands: [lookup, random([2, 3, 3])],
      build: (g, [i, u]) => g.scatterAdd(i!, u!, 5),
      reference: (i, u) =>
        tensor([5, 3], ([row, c]) => {
          let sum = 0;
          for (const a of [0, 1]) for (const b of [0, 1, 2]) if (get(i, [a, b]) === row) sum += get(u, [a, b, c!]);
          return sum;
        }),
    },
  ],
};

/** Runs a graph whose inputs are x0, x1, ... */
async function run(graph: Graph, operands: Case['operands']): Promise<Map<string, Plain>> {
  const session = await InferenceSession.create(emitModel(graph, { name: 'case' }), {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  const wanted = new Set(session.inputNames);
  const feeds: Record<string, Tensor> = {};
  operands.forEach(({ shape, data, dtype = 'float32' }, i) => {
    if (wanted.has(`x${i}`))
      feeds[`x${i}`] = new Tensor(dtype as 'float32', typedArray(dtype, data) as Float32Array, shape);
  });
  const results = await session.run(feeds);
  await session.release();
  return new Map(
    Object.entries(results).map(([name, value]) => [
      name,
      { shape: value.dims, data: Array.from(value.data as Float32Array, Number) },
    ]),
  );
}

function expectClose(actual: Plain, expected: Plain, tolerance: number): void {
  expect(actual.shape).toEqual(expected.shape);
  const scale = Math.max(1, ...expected.data.map(Math.abs));
  expected.data.forEach((value, i) => {
    expect(
      Math.abs(actual.data[i]! - value),
      `element ${i}: expected ${value}, received ${actual.data[i]}`,
    ).toBeLessThan(tolerance * scale);
  });
}

/** Central differences of sum(weights * reference(...operands)) with respect to one operand. */
function differences({ operands, reference }: Case, which: number, weights: Plain): Plain {
  const h = 1e-5;
  const { shape, data } = operands[which]!;
  const value = (moved: readonly number[]) => {
    const result = reference(...operands.map((x, i) => (i === which ? { shape, data: moved } : x)));
    return result.data.reduce((sum, y, i) => sum + y * weights.data[i]!, 0);
  };
  return {
    shape,
    data: data.map((x, i) => {
      const at = (moved: number) => value(data.with(i, moved));
      return (at(x + h) - at(x - h)) / (2 * h);
    }),
  };
}

describe.each(OPS)('%s', (op) => {
  const cases = CASES[op];
  it.each(cases.map((one, i) => ({ title: one.what ?? `case ${i}`, one })))('$title', async ({ one }) => {
    const { operands, build, reference, gradient = true, tolerance = 1e-4 } = one;
    const graph = new Graph();
    const values = operands.map(({ shape, dtype = 'float32' }, i) => graph.input(`x${i}`, dtype, shape));
    const y = build(graph, values);
    if (op !== 'parameter') expect(graph.nodes.some((node) => node.op === op)).toBe(true);
    graph.output('y', y);
    const expected = reference(...operands);
    const floats = operands.flatMap(({ dtype = 'float32' }, i) => (dtype === 'float32' && gradient ? [i] : []));
    const weights = random(expected.shape, [0.5, 1.5]);
    if (gradient) {
      const loss = graph.sum(graph.times(y, graph.constant(weights.data, weights.shape)), [...weights.shape.keys()]);
      backward(
        graph,
        loss,
        floats.map((i) => values[i]!),
      ).forEach((value, j) => {
        graph.output(`d${floats[j]}`, value);
      });
    }
    const results = await run(graph, operands);
    expectClose(results.get('y')!, expected, tolerance);
    for (const i of floats) expectClose(results.get(`d${i}`)!, differences(one, i, weights), 1e-3);
  });
});
