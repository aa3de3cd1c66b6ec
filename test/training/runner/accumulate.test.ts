/** Gradients over several runs: chunks of any size add up to the whole batch, in two programs and inside one step. */
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import type { Graph, Value } from '../../../training/graph/graph.ts';
import type { Dim } from '../../../training/graph/ops.ts';
import { sumName } from '../../../training/nn/optimizers/accumulation.ts';
import { adamW } from '../../../training/nn/optimizers/adamw.ts';
import { averageName, type UpdateOptions } from '../../../training/nn/optimizers/update.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { Accumulator, compileAccumulation } from '../../../training/runner/accumulate.ts';
import { CpuRunner } from '../../../training/runner/cpu.ts';
import { compileStep } from '../../../training/runner/step.ts';
import type { Weights } from '../../../training/teacher/checkpoint.ts';

const [ROWS, IN, OUT] = [12, 5, 3];
const random = seeded('accumulate');
const tensor = (...shape: number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
});
const weights: Weights = new Map([
  ['dense.weight', tensor(IN, OUT)],
  ['dense.bias', tensor(OUT)],
  ['fixed', tensor(OUT)],
]);
const frozen = (name: string) => name === 'fixed';
const update: UpdateOptions = {
  schedule: { peak: 0.05, warmupSteps: 2, totalSteps: 10, floor: 0.1 },
  optimizer: adamW({ beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1 }),
  clipNorm: 0.5,
  ema: 0.7,
};
const batches = Array.from({ length: 4 }, () => ({ x: tensor(ROWS, IN), y: tensor(ROWS, OUT) }));

/** The squared distances of tanh(x W + b) * fixed from y, [batch, OUT]. */
function squares(g: Graph, batch: Dim): Value {
  const dense = g.plus(
    g.matmul(g.input('x', 'float32', [batch, IN]), g.parameter('dense.weight', [IN, OUT])),
    g.parameter('dense.bias', [OUT]),
  );
  const difference = g.minus(
    g.times(g.apply('tanh', dense), g.parameter('fixed', [OUT])),
    g.input('y', 'float32', [batch, OUT]),
  );
  return g.times(difference, difference);
}

const part = ({ x, y }: (typeof batches)[number], from: number, to: number): Map<string, TensorData> =>
  new Map(
    Object.entries({ x, y }).map(([name, { dtype, shape, data }]) => {
      const width = shape[1]!;
      return [name, { dtype, shape: [to - from, width], data: (data as Float32Array).slice(from * width, to * width) }];
    }),
  );

/** State after one plain step a batch. */
async function plain() {
  const build = (g: Graph) => g.times(g.sum(squares(g, ROWS), [0, 1]), 1 / ROWS);
  const runner = await CpuRunner.open(compileStep({ build, weights, frozen, ...update }), { threads: 1 });
  const reports = await runner.runAll(batches.map((batch) => part(batch, 0, ROWS)));
  const state = await runner.state();
  await runner.close();
  return { reports, state };
}

function expectSameState(actual: Weights, expected: Weights): void {
  for (const [name, { data }] of expected) {
    data.forEach((value, i) => {
      expect(actual.get(name)!.data[i], `${name}[${i}]`).toBeCloseTo(Number(value), 5);
    });
  }
}

describe('two programs', () => {
  it('make the update of the whole batch from chunks of different sizes', async () => {
    const compiled = compileAccumulation({
      build: (g) => g.times(g.sum(squares(g, 'batch'), [0, 1]), 1 / ROWS),
      weights,
      frozen,
      ...update,
    });
    const { reports, state } = await plain();
    const accumulator = await Accumulator.open(compiled, { threads: 1 });
    for (const [i, batch] of batches.entries()) {
      let loss = 0;
      for (const [from, to] of [
        [0, 5],
        [5, 6],
        [6, ROWS],
      ] as const)
        loss += await accumulator.add(part(batch, from, to));
      const report = { loss, ...(await accumulator.update()) };
      for (const name of ['loss', 'gradientNorm', 'learningRate'] as const)
        expect(report[name]).toBeCloseTo(reports[i]![name], 5);
    }
    expectSameState(await accumulator.state(), state);
    await accumulator.close();
  });

  it('go on from a stored state', async () => {
    const compiled = compileAccumulation({
      build: (g) => g.sum(squares(g, 'batch'), [0, 1]),
      weights,
      frozen,
      ...update,
    });
    const whole = await Accumulator.open(compiled, { threads: 1 });
    let stored: Weights | undefined;
    for (const [i, batch] of batches.entries()) {
      await whole.add(part(batch, 0, ROWS));
      await whole.update();
      if (i === 1) stored = await whole.state();
    }
    const resumed = await Accumulator.open(compiled, { state: stored!, threads: 1 });
    for (const batch of batches.slice(2)) {
      await resumed.add(part(batch, 0, ROWS));
      await resumed.update();
    }
    expect(await resumed.state()).toEqual(await whole.state());
    await whole.close();
    await resumed.close();
  });
});

describe('one step', () => {
  it('makes an update in every k-th run, the one of the whole batch', async () => {
    const k = 3;
    const size = ROWS / k;
    const compiled = compileStep({
      build: (g) => g.times(g.sum(squares(g, size), [0, 1]), 1 / size),
      weights,
      frozen,
      ...update,
      accumulate: k,
    });
    const runner = await CpuRunner.open(compiled, { threads: 1 });
    const { reports, state } = await plain();
    for (const [i, batch] of batches.entries()) {
      const before = await runner.state();
      for (let at = 0; at < k; at++) {
        const report = await runner.run(part(batch, at * size, (at + 1) * size));
        const now = await runner.state();
        if (at < k - 1) {
          for (const name of ['step', 'dense.weight', 'm.dense.weight', averageName('dense.weight')])
            expect(now.get(name)).toEqual(before.get(name));
          expect(now.get(sumName('dense.weight'))).not.toEqual(before.get(sumName('dense.weight')));
        } else {
          expect(report.gradientNorm).toBeCloseTo(reports[i]!.gradientNorm, 5);
          expect(report.learningRate).toBeCloseTo(reports[i]!.learningRate, 6);
          expect(now.get(sumName('dense.weight'))!.data.every((value) => value === 0)).toBe(true);
        }
      }
    }
    expectSameState(await runner.state(), state);
    await runner.close();
  });
});
