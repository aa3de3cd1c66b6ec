/** Steps inside one ONNX Scan against the same steps one by one. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TensorData } from '../../../training/onnx/model.ts';
import { type Batch, train } from '../../../training/phases/train.ts';
import { CpuRunner } from '../../../training/runner/cpu.ts';
import { openRunner } from '../../../training/runner/runner.ts';
import { ScanRunner, stack } from '../../../training/runner/scan.ts';
import { type AlignmentCase, alignmentCase, largestDifference } from './alignment-case.ts';

let small: AlignmentCase;
beforeAll(async () => {
  small = await alignmentCase();
});

describe('stack', () => {
  const row = (shape: number[], values: number[]): TensorData => ({
    dtype: 'float32',
    shape,
    data: Float32Array.from(values),
  });

  it('pads token axes with zeros, wherever they are', () => {
    const steps = [row([2, 1, 2], [1, 2, 3, 4]), row([2, 2, 1], [5, 6, 7, 8])];
    expect(stack('x', steps, [2, 'tokens', 'otherTokens'])).toEqual(
      row([2, 2, 2, 2], [1, 2, 0, 0, 3, 4, 0, 0, 5, 0, 6, 0, 7, 0, 8, 0]),
    );
    expect(stack('x', [row([], [1]), row([], [2])], [])).toEqual(row([2], [1, 2]));
  });

  it('refuses to pad anything else', () => {
    expect(() => stack('bias', [row([2], [1, 2]), row([1], [3])], ['documents'])).toThrow("along 'documents'");
  });
});

describe('the Scan runner', () => {
  it('makes in calls of four, four and two what ten plain steps make', async () => {
    const plain = await CpuRunner.open(small.compiled, { threads: 1 });
    const scan = await ScanRunner.open(small.compiled, { threads: 1 });
    const expected = await plain.runAll(small.batches);
    const received = [];
    for (const start of [0, 4, 8]) received.push(...(await scan.runAll(small.batches.slice(start, start + 4))));
    expect(received).toHaveLength(10);
    expect(new Set(expected.map(({ loss }) => loss)).size).toBe(10);
    received.forEach(({ loss, gradientNorm, learningRate }, i) => {
      expect(loss).toBeCloseTo(expected[i]!.loss, 5);
      expect(gradientNorm).toBeCloseTo(expected[i]!.gradientNorm, 4);
      expect(learningRate).toBe(expected[i]!.learningRate);
    });
    expect(largestDifference(await scan.state(), await plain.state())).toBeLessThan(1e-4);
    await plain.close();
    await scan.close();
  });
});

describe('training in calls of several steps', () => {
  async function* batchesAfter(after: number): AsyncGenerator<Batch> {
    for (let step = after + 1; ; step++) yield { step, inputs: small.batches[step % small.batches.length]! };
  }
  const run = (folder: string, { stepsPerCall = 1, onStep = (_: number) => {} } = {}) =>
    train(small.student, {
      open: (state) => openRunner(small.compiled, { state, stepsPerCall, threads: 1 }),
      folder,
      steps: 12,
      checkpointEvery: 5,
      batchesAfter,
      onStep,
    });

  it('checkpoints where plain training does, and goes on after a kill', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'harness-scan-'));
    const plain = await run(join(folder, 'plain'));
    const seen: number[] = [];
    const onStep = (step: number) => {
      seen.push(step);
      if (seen.length === 8) throw new Error('killed');
    };
    const killed = join(folder, 'killed');
    await expect(run(killed, { stepsPerCall: 4, onStep })).rejects.toThrow('killed');
    const resumed = await run(killed, { stepsPerCall: 4, onStep });
    // Calls of 4, 1 and (to the kill) 3 of 4 steps; then from the checkpoint at 5 on: 4, 1, 2.
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8, 9, 10, 11, 12]);
    expect(resumed.losses.map(({ step }) => step)).toEqual([5, 10, 12]);
    resumed.losses.forEach(({ loss }, i) => {
      expect(loss).toBeCloseTo(plain.losses[i]!.loss, 5);
    });
    expect(largestDifference(resumed.student.weights, plain.student.weights)).toBeLessThan(1e-4);
    await rm(folder, { recursive: true });
  });
});
