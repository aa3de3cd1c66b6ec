/** Optimizers, averages, schedules and clipping as emitted, against PyTorch and the published rules (bench/peers/optimizers.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor, type TypedTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { Graph, type NodeOf } from '../../../training/graph/graph.ts';
import { LARGEST_LOGIT_SCALE, LOGIT_SCALE } from '../../../training/nn/losses.ts';
import { clipFactor, globalNorm } from '../../../training/nn/optimizers/clipping.ts';
import { lion } from '../../../training/nn/optimizers/lion.ts';
import type { Optimizer } from '../../../training/nn/optimizers/optimizer.ts';
import { learningRate, SCHEDULES, type Schedule } from '../../../training/nn/optimizers/schedule.ts';
import { type OptimizerSettings, optimizerOf } from '../../../training/nn/optimizers/settings.ts';
import { addUpdate, averageName, STEP } from '../../../training/nn/optimizers/update.ts';
import { emitModel } from '../../../training/onnx/emit.ts';
import { nextName } from '../../../training/runner/step.ts';
import { GOLDEN } from '../golden.ts';
import { expectClose, run } from './run.ts';

interface Golden {
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly initial: Readonly<Record<string, number[]>>;
  readonly gradients: readonly Readonly<Record<string, number[]>>[];
  readonly rates: readonly number[];
  readonly cases: readonly {
    readonly optimizer: 'adamw' | 'lion' | 'muon';
    readonly options: Readonly<Record<string, number>>;
    readonly final: Readonly<Record<string, number[]>>;
  }[];
  readonly average: { readonly decay: number; readonly values: number[][]; readonly averages: number[][] };
  readonly schedules: {
    readonly settings: Schedule;
    readonly steps: readonly number[];
    readonly rates: Readonly<Record<string, readonly number[]>>;
  };
}
const golden = JSON.parse(readFileSync(join(GOLDEN, 'optimizers.json'), 'utf8')) as Golden;

/** The rate of step t is t * peak / warm-up, as in the golden file; nothing is clipped. */
const ramp: Schedule = { peak: golden.rates.at(-1)!, warmupSteps: golden.rates.length, totalSteps: 1000, floor: 1 };

interface Course extends Pick<Golden, 'initial' | 'shapes' | 'gradients'> {
  readonly optimizer: Optimizer;
  readonly ema?: number;
}

/** Runs one update a set of gradients; gives the state after each. */
async function updates({ optimizer, initial, shapes, gradients, ema = 0 }: Course): Promise<Map<string, number[]>[]> {
  const g = new Graph();
  const names = Object.keys(initial);
  const weights = new Map(
    names.map((name) => [
      name,
      { dtype: 'float32' as const, shape: shapes[name]!, data: Float32Array.from(initial[name]!) },
    ]),
  );
  const { state } = addUpdate(g, {
    trained: names.map((name) => g.parameter(name, shapes[name]!) as NodeOf<'parameter'>),
    gradients: names.map((name) => g.input(`gradient ${name}`, 'float32', shapes[name]!)),
    weights,
    schedule: ramp,
    optimizer,
    clipNorm: 1e6,
    ema,
  });
  for (const [name, { next }] of state) g.output(nextName(name), next);
  const session = await InferenceSession.create(emitModel(g, { name: 'update' }), { intraOpNumThreads: 1 });
  let now = new Map(
    [...state].map(
      ([
        name,
        {
          initial: { data, shape },
        },
      ]) => [name, new Tensor('float32', data as Float32Array, shape)],
    ),
  );
  const states: Map<string, number[]>[] = [];
  for (const step of gradients) {
    const fed = names.map((name) => [`gradient ${name}`, new Tensor('float32', step[name]!, shapes[name]!)]);
    const results = await session.run({ ...Object.fromEntries(now), ...Object.fromEntries(fed) });
    now = new Map([...now.keys()].map((name) => [name, results[nextName(name)] as TypedTensor<'float32'>]));
    states.push(new Map([...now].map(([name, { data }]) => [name, [...(data as Float32Array)]])));
  }
  await session.release();
  return states;
}

const named = (optimizer: string, options: object): Optimizer =>
  optimizerOf({ optimizer, ...options } as OptimizerSettings);

describe('optimizers', () => {
  it.each(golden.cases)('$optimizer, eight steps with $options', async ({ optimizer, options, final }) => {
    const states = await updates({ ...golden, optimizer: named(optimizer, options) });
    const last = states.at(-1)!;
    expect(last.get(STEP)).toEqual([golden.rates.length]);
    for (const [name, expected] of Object.entries(final)) expectClose(last.get(name)!, expected, 1e-5);
  });

  it('Muon keeps one slot a hidden matrix; everything else has the two of AdamW', async () => {
    const { optimizer, options } = golden.cases.find((one) => one.optimizer === 'muon')!;
    const table = { shapes: { tokens: [2, 2] }, values: { tokens: [1, 2, 3, 4] } };
    const [state] = await updates({
      optimizer: named(optimizer, options),
      shapes: { ...golden.shapes, ...table.shapes },
      initial: { ...golden.initial, ...table.values },
      gradients: [{ ...golden.gradients[0], ...table.values }],
    });
    expect([...state!.keys()].filter((name) => /^(m|v|momentum)\./.test(name)).sort()).toEqual([
      'm.dense.bias',
      'm.embeddings.weight',
      'm.tokens',
      'momentum.tall.weight',
      'momentum.wide.weight',
      'v.dense.bias',
      'v.embeddings.weight',
      'v.tokens',
    ]);
  });

  it('holds a learnt logit scale at its largest, from where it can go down again', async () => {
    const states = await updates({
      optimizer: lion({ beta1: 0.9, beta2: 0.99, weightDecay: 0 }),
      initial: { [LOGIT_SCALE]: [4.6] },
      shapes: { [LOGIT_SCALE]: [] },
      gradients: [-1, -1, -1, 5].map((x) => ({ [LOGIT_SCALE]: [x] })),
    });
    const scales = states.map((state) => state.get(LOGIT_SCALE)![0]!);
    expect(scales[2]).toBeCloseTo(LARGEST_LOGIT_SCALE, 5);
    expect(scales[3]).toBeLessThan(LARGEST_LOGIT_SCALE - 1e-3);
  });
});

describe('moving average', () => {
  it("is PyTorch's, and starts with what the first step gave", async () => {
    const { decay, values, averages } = golden.average;
    const states = await updates({
      // Puts the parameter where its gradient says.
      optimizer: { slots: () => [], update: (_, { gradient }) => ({ parameter: gradient, slots: {} }) },
      initial: { x: [9, 9, 9, 9] },
      shapes: { x: [2, 2] },
      gradients: values.map((x) => ({ x })),
      ema: decay,
    });
    states.forEach((state, step) => {
      expectClose(state.get(averageName('x'))!, averages[step]!, 1e-5);
    });
  });
});

describe('schedule and clipping', () => {
  it.each(SCHEDULES)('%s', async (name) => {
    const { settings, steps, rates } = golden.schedules;
    for (const [i, step] of steps.entries()) {
      const g = new Graph();
      const rate = learningRate(g, g.input('step', 'float32', []), { ...settings, name });
      const result = await run(g, { rate }, { step: { shape: [], data: [step] } });
      expectClose(result.rate!, [rates[name]![i]!], 1e-5);
    }
  });

  it('brings the norm over all gradients down to the limit, and leaves smaller ones alone', async () => {
    const clipped = async (a: number[], b: number[]) => {
      const g = new Graph();
      const norm = globalNorm(g, [g.input('a', 'float32', [2]), g.input('b', 'float32', [1])]);
      const feeds = { a: { shape: [2], data: a }, b: { shape: [1], data: b } };
      return run(g, { norm, factor: clipFactor(g, norm, 1) }, feeds);
    };
    const large = await clipped([3, 4], [12]);
    expect(large.norm![0]).toBeCloseTo(13, 5);
    expect(large.factor![0]).toBeCloseTo(1 / 13, 5);
    const small = await clipped([0.3, 0], [0.4]);
    expect(small.factor![0]).toBe(1);
  });
});
