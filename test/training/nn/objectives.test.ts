/** Alignment objectives against PyTorch (bench/peers/losses.py), and what Matryoshka training is for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { backward } from '../../../training/graph/backward.ts';
import { Graph } from '../../../training/graph/graph.ts';
import { normalizeRows } from '../../../training/nn/layers.ts';
import { matryoshka, OBJECTIVES, type ObjectiveName, objective } from '../../../training/nn/objectives.ts';
import { adamW } from '../../../training/nn/optimizers/adamw.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { CpuRunner } from '../../../training/runner/cpu.ts';
import { compileStep } from '../../../training/runner/step.ts';
import { GOLDEN } from '../golden.ts';
import { expectClose, run } from './run.ts';

interface Golden {
  readonly batch: number;
  readonly dim: number;
  readonly temperature: number;
  readonly student: readonly number[];
  readonly teacher: readonly number[];
  readonly cases: readonly {
    readonly objective: ObjectiveName;
    readonly dimensions: readonly number[];
    readonly loss: number;
    readonly gradient: readonly number[];
  }[];
}
const golden = JSON.parse(readFileSync(join(GOLDEN, 'losses.json'), 'utf8')).objectives as Golden;
const { batch, dim, temperature } = golden;

describe('objectives', () => {
  it.each(golden.cases)('$objective at full length and $dimensions', async (one) => {
    const g = new Graph();
    const [student, teacher] = ['student', 'teacher'].map((name) => g.input(name, 'float32', [batch, dim]));
    const loss = matryoshka(objective(one.objective), one.dimensions)(g, student!, teacher!, { temperature });
    const [gradient] = backward(g, loss, [student!]);
    const feeds = {
      student: { shape: [batch, dim], data: golden.student },
      teacher: { shape: [batch, dim], data: golden.teacher },
    };
    const results = await run(g, { loss, gradient: gradient! }, feeds);
    expectClose(results.loss!, [one.loss], 1e-5);
    expectClose(results.gradient!, one.gradient, 1e-4);
  });

  it.each(OBJECTIVES)('%s is 0 where student and teacher agree', async (name) => {
    const g = new Graph();
    const x = g.input('x', 'float32', [batch, dim]);
    const loss = objective(name)(g, x, x, { temperature });
    const results = await run(g, { loss }, { x: { shape: [batch, dim], data: golden.teacher } });
    expect(results.loss![0]).toBeCloseTo(0, 5);
  });

  it('refuses a length that cuts nothing', () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [batch, dim]);
    expect(() => matryoshka(objective('l2'), [dim])(g, x, x, { temperature })).toThrow('expected lengths from 1 to 5');
  });
});

describe('matryoshka', () => {
  // A teacher that says most in its last dimensions, and a student too narrow for all of it.
  const [FEATURES, WIDTH, DIM, PREFIX, TEXTS] = [16, 4, 12, 4, 128];
  const random = seeded('matryoshka');
  const matrix = (rows: number, columns: number, scale = (_column: number) => 1) =>
    Float32Array.from({ length: rows * columns }, (_, i) => (2 * random() - 1) * scale(i % columns));
  const product = (a: Float32Array, b: Float32Array, inner: number) => {
    const [rows, columns] = [a.length / inner, b.length / inner];
    return Float32Array.from({ length: rows * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += a[i * inner + k]! * b[k * columns + j]!;
      return sum;
    });
  };
  /** Rows of [n, DIM] cut and scaled to length 1. */
  const cut = (x: Float32Array, length: number): number[][] =>
    Array.from({ length: x.length / DIM }, (_, i) => {
      const row = [...x.subarray(i * DIM, i * DIM + length)];
      const norm = Math.hypot(...row);
      return row.map((value) => value / norm);
    });
  const features = matrix(TEXTS, FEATURES);
  const teacher = Float32Array.from(
    cut(
      product(
        features,
        matrix(FEATURES, DIM, (column) => (column < PREFIX ? 0.4 : 1)),
        FEATURES,
      ),
      DIM,
    ).flat(),
  );

  /** Trains x A B, rows scaled to length 1, on the first half of the texts. */
  async function trained(dimensions: readonly number[]): Promise<Float32Array> {
    const half = TEXTS / 2;
    const tensor = (data: Float32Array, columns: number): TensorData => ({
      dtype: 'float32',
      shape: [data.length / columns, columns],
      data,
    });
    const start = seeded('student');
    const weight = (rows: number, columns: number) =>
      tensor(
        Float32Array.from({ length: rows * columns }, () => start() - 0.5),
        columns,
      );
    const compiled = compileStep({
      build(g) {
        const hidden = g.matmul(g.input('x', 'float32', [half, FEATURES]), g.parameter('a', [FEATURES, WIDTH]));
        const student = normalizeRows(g, g.matmul(hidden, g.parameter('b', [WIDTH, DIM])));
        return matryoshka(objective('l2'), dimensions)(g, student, g.input('target', 'float32', [half, DIM]), {
          temperature,
        });
      },
      weights: new Map([
        ['a', weight(FEATURES, WIDTH)],
        ['b', weight(WIDTH, DIM)],
      ]),
      frozen: () => false,
      schedule: { peak: 0.02, warmupSteps: 1, totalSteps: 400, floor: 0.05 },
      optimizer: adamW({ beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0 }),
      clipNorm: 10,
    });
    const runner = await CpuRunner.open(compiled, { threads: 1 });
    const inputs = new Map([
      ['x', tensor(features.subarray(0, half * FEATURES), FEATURES)],
      ['target', tensor(teacher.subarray(0, half * DIM), DIM)],
    ]);
    for (let step = 0; step < 400; step++) await runner.run(inputs);
    const state = await runner.state();
    await runner.close();
    const [a, b] = ['a', 'b'].map((name) => state.get(name)!.data as Float32Array);
    return product(product(features.subarray(half * FEATURES), a!, FEATURES), b!, WIDTH);
  }

  /** Share of the teacher's ten nearest, among vectors cut to `length`, that the student finds. */
  function kept(student: Float32Array, length: number): number {
    const documents = cut(teacher, length);
    const nearest = (query: readonly number[]) =>
      documents
        .map((document, row) => ({ row, score: document.reduce((sum, value, i) => sum + value * query[i]!, 0) }))
        .sort((x, y) => y.score - x.score)
        .slice(0, 10)
        .map(({ row }) => row);
    const asked = cut(teacher.subarray(teacher.length / 2), length);
    const found = cut(student, length).map((query, i) => {
      const wanted = new Set(nearest(asked[i]!));
      return nearest(query).filter((row) => wanted.has(row)).length / 10;
    });
    return found.reduce((sum, share) => sum + share, 0) / found.length;
  }

  it('keeps more of the ranking in the first dimensions', async () => {
    const [plain, nested] = [await trained([]), await trained([PREFIX])];
    expect(kept(nested, PREFIX)).toBeGreaterThan(kept(plain, PREFIX) + 0.1);
    expect(kept(nested, DIM)).toBeGreaterThan(kept(plain, DIM) - 0.2);
  });
});
