/**
 * The loop that every phase trains in: a compiled step over batches, with checkpoints.
 *
 * Everything a step depends on is in the state file or follows from the seed and the step number, so a run that was killed goes on where
 * its last checkpoint was and ends in the same bytes.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { RecipeConfig } from '../config.ts';
import { readTensors, writeTensors } from '../data/tensor-file.ts';
import { adamW } from '../nn/optimizers.ts';
import type { TensorData } from '../onnx/model.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { openRunner, type RunnerOptions } from '../runner/runner.ts';
import type { CompiledStep, Report, StepOptions } from '../runner/step.ts';

export interface Batch {
  /** Counted from 1. */
  readonly step: number;
  readonly inputs: ReadonlyMap<string, TensorData>;
}

/** Mean loss over the steps up to and including `step`, since the entry before. */
export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

export interface TrainOptions extends Pick<RunnerOptions, 'device' | 'threads' | 'stepsPerCall' | 'say'> {
  readonly compiled: CompiledStep;
  /** Where state is kept; one folder a run. */
  readonly folder: string;
  readonly steps: number;
  /** Killing the process at any moment loses at most as many steps. */
  readonly checkpointEvery: number;
  /** The batches from step `after` + 1 on, without end. */
  readonly batchesAfter: (after: number) => AsyncIterable<Batch>;
  readonly onStep?: (step: number, report: Report) => void;
}

export interface Trained {
  readonly student: EncoderModel;
  readonly losses: readonly LossPoint[];
}

/** What every phase sets in the same way: the optimizer, its schedule and the clipping, from the phase's settings. */
export function optimization(
  settings: RecipeConfig['align'] | RecipeConfig['refine'],
): Pick<StepOptions, 'schedule' | 'optimizer' | 'clipNorm'> {
  const { learningRate: peak, warmupSteps, steps: totalSteps, finalRate: floor, clipNorm } = settings;
  return { schedule: { peak, warmupSteps, totalSteps, floor }, optimizer: adamW(settings), clipNorm };
}

const History = z.array(z.object({ step: z.number(), loss: z.number() }));

/** Trains `student`, or goes on training it, to the last step. */
export async function train(student: EncoderModel, options: TrainOptions): Promise<Trained> {
  const { compiled, folder, steps, checkpointEvery, batchesAfter, onStep = () => {}, ...running } = options;
  const path = join(folder, 'state.safetensors');
  let state = compiled.initialState;
  let done = 0;
  let losses: LossPoint[] = [];
  if (existsSync(path)) {
    const stored = await readTensors(path);
    state = stored.tensors;
    done = Number(stored.metadata.step);
    losses = History.parse(JSON.parse(stored.metadata.losses!));
  }

  const runner = await openRunner(compiled, { ...running, state });
  let sum = 0;
  let since = done;
  let call: Batch[] = [];
  if (done < steps) {
    for await (const batch of batchesAfter(done)) {
      call.push(batch);
      const { step } = batch;
      const checkpoint = step % checkpointEvery === 0 || step === steps;
      if (call.length < runner.stepsPerCall && !checkpoint) continue;
      const reports = await runner.runAll(call.map(({ inputs }) => inputs));
      reports.forEach((report, i) => {
        sum += report.loss;
        onStep(call[i]!.step, report);
      });
      call = [];
      if (checkpoint) {
        losses.push({ step, loss: sum / (step - since) });
        sum = 0;
        since = step;
        await writeTensors(path, {
          tensors: await runner.state(),
          metadata: { step: String(step), losses: JSON.stringify(losses) },
        });
      }
      if (step === steps) break;
    }
  }
  const trained = await runner.state();
  await runner.close();
  const weights = new Map([...student.weights].map(([name, tensor]) => [name, trained.get(name) ?? tensor]));
  return { student: { ...student, weights }, losses };
}
