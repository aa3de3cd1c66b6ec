/** AdamW, schedule and clipping as emitted, against the published update worked in float64. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { Graph } from '../../../training/graph/graph.ts';
import { adamW, clipFactor, globalNorm, learningRate } from '../../../training/nn/optimizers.ts';
import { emitModel } from '../../../training/onnx/emit.ts';

async function compile(graph: Graph) {
  const session = await InferenceSession.create(emitModel(graph, { name: 'test' }), { logSeverityLevel: 3 });
  return async (feeds: Record<string, readonly number[] | number>) => {
    const tensors = Object.entries(feeds).map(([name, value]) => [
      name,
      typeof value === 'number'
        ? new Tensor('float32', [value], [])
        : new Tensor('float32', [...value], [value.length]),
    ]);
    const results = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(
      Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array)]),
    );
  };
}

describe('AdamW', () => {
  // Two settings: the usual one, and one where every term matters.
  it.each([
    { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
    { beta1: 0.8, beta2: 0.9, epsilon: 1e-2, weightDecay: 0.1 },
  ])('follows algorithm 2 of Loshchilov and Hutter for ten steps: %o', async (options) => {
    const { beta1, beta2, epsilon, weightDecay } = options;
    const g = new Graph();
    const [parameter, gradient, m, v] = ['p', 'g', 'm', 'v'].map((name) => g.input(name, 'float32', [3]));
    const [rate, step, clip] = ['rate', 'step', 'clip'].map((name) => g.input(name, 'float32', []));
    const next = adamW(options).update(g, {
      parameter: parameter!,
      gradient: gradient!,
      slots: { m: m!, v: v! },
      rate: rate!,
      step: step!,
      clip: clip!,
      decays: true,
    });
    g.output('p2', next.parameter);
    g.output('m2', next.slots.m!);
    g.output('v2', next.slots.v!);
    const run = await compile(g);

    let state = { p: [1, -2, 0.5], m: [0, 0, 0], v: [0, 0, 0] };
    const expected = { p: [1, -2, 0.5], m: [0, 0, 0], v: [0, 0, 0] };
    for (let t = 1; t <= 10; t++) {
      const gradients = [0.3 * t, -1 / t, Math.sin(t)];
      const [lr, factor] = [0.01 * t, t % 2 ? 1 : 0.5];
      const result = await run({ ...state, g: gradients, rate: lr, step: t, clip: factor });
      state = { p: result.p2!, m: result.m2!, v: result.v2! };
      for (let i = 0; i < 3; i++) {
        const clipped = gradients[i]! * factor;
        expected.m[i] = beta1 * expected.m[i]! + (1 - beta1) * clipped;
        expected.v[i] = beta2 * expected.v[i]! + (1 - beta2) * clipped ** 2;
        const mHat = expected.m[i]! / (1 - beta1 ** t);
        const vHat = expected.v[i]! / (1 - beta2 ** t);
        expected.p[i] = expected.p[i]! - lr * (mHat / (Math.sqrt(vHat) + epsilon) + weightDecay * expected.p[i]!);
      }
      for (const name of ['p', 'm', 'v'] as const)
        for (let i = 0; i < 3; i++) expect(state[name][i]).toBeCloseTo(expected[name][i]!, 4);
    }
  });
});

describe('schedule and clipping', () => {
  it('warms up in a line, decays in a line, and stays at the floor', async () => {
    const g = new Graph();
    const schedule = { peak: 2, warmupSteps: 4, totalSteps: 14, floor: 0.1 };
    g.output('rate', learningRate(g, g.input('step', 'float32', []), schedule));
    const run = await compile(g);
    const rate = async (step: number) => (await run({ step })).rate![0];
    expect(await rate(1)).toBeCloseTo(0.5, 5);
    expect(await rate(4)).toBeCloseTo(2, 5);
    expect(await rate(9)).toBeCloseTo(2 * (0.1 + 0.9 * 0.5), 5);
    expect(await rate(14)).toBeCloseTo(0.2, 5);
    expect(await rate(99)).toBeCloseTo(0.2, 5);
  });

  it('brings the norm over all gradients down to the limit, and leaves smaller ones alone', async () => {
    const g = new Graph();
    const norm = globalNorm(g, [g.input('a', 'float32', [2]), g.input('b', 'float32', [1])]);
    g.output('norm', norm);
    g.output('factor', clipFactor(g, norm, 1));
    const run = await compile(g);
    const large = await run({ a: [3, 4], b: [12] });
    expect(large.norm![0]).toBeCloseTo(13, 5);
    expect(large.factor![0]).toBeCloseTo(1 / 13, 5);
    const small = await run({ a: [0.3, 0], b: [0.4] });
    expect(small.factor![0]).toBe(1);
  });
});
