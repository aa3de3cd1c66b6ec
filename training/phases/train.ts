/**
 * The loop that every phase trains in: a runner over batches, with checkpoints.
 *
 * Everything a step depends on is in the state file or follows from the seed and the step number, so a run that was
 * killed continues from its last checkpoint and ends with the same bytes.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readMetadata, readTensors, writeTensors } from '../data/tensor-file.ts';
import { type OptimizerSettings, optimizerOf } from '../nn/optimizers/settings.ts';
import { averageName } from '../nn/optimizers/update.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import type { StepInputs, StepRunner } from '../runner/runner.ts';
import type { Report, StepOptions } from '../runner/step.ts';
import type { Weights } from '../teacher/checkpoint.ts';

/** One step's inputs. */
export interface Batch<Inputs = StepInputs> {
  /** Counted from 1. */
  readonly step: number;
  readonly inputs: Inputs;
}

/** Mean loss over the updates up to and including `step`, since the entry before. */
export interface LossPoint {
  readonly step: number;
  readonly loss: number;
  /** Quality at this step by metric, where it was measured. */
  readonly quality?: Quality | undefined;
}

/** Quality by metric, such as `p10`. */
export type Quality = Readonly<Record<string, number>>;

export interface TrainOptions<Inputs, Model = EncoderModel> {
  /** Opens what runs the steps, with the state of an earlier run or, where there is none, from the beginning. */
  readonly open: (state: Weights | undefined) => Promise<StepRunner<Inputs>>;
  /** Where state is kept; one folder a run. */
  readonly folder: string;
  /** Updates of the parameters. */
  readonly steps: number;
  /** Killing the process at any moment loses at most as many updates. */
  readonly checkpointEvery: number;
  /** Batches an update takes, as the step was compiled with; default 1. */
  readonly accumulate?: number;
  /** The batches from number `after` + 1 on, endlessly. */
  readonly batchesAfter: (after: number) => AsyncIterable<Batch<Inputs>>;
  /** Told of each update; the loss is the mean over its batches. */
  readonly onStep?: (step: number, report: Report) => void;
  /** Measures what is trained, at each checkpoint; kept with the losses. */
  readonly measure?: ((model: Model) => Promise<Quality>) | undefined;
}

/** What a training gives. */
export interface Trained<Model = EncoderModel> {
  /** With the moving averages of the parameters, where such are kept. */
  readonly student: Model;
  readonly losses: readonly LossPoint[];
}

/** What a training step needs of a phase's settings; `steps` counts updates. */
export function optimization(
  settings: OptimizerSettings & { readonly steps: number },
): Pick<StepOptions, 'schedule' | 'optimizer' | 'clipNorm' | 'accumulate' | 'ema'> {
  const { learningRate: peak, warmupSteps, steps: totalSteps, finalRate: floor } = settings;
  const { schedule: name = 'linear', decayShare = 0.1, clipNorm, accumulate = 1, ema = 0 } = settings;
  return {
    schedule: { name, peak, warmupSteps, totalSteps, floor, decayShare },
    optimizer: optimizerOf(settings),
    clipNorm,
    accumulate,
    ema,
  };
}

const History = z.array(
  z.object({ step: z.number(), loss: z.number(), quality: z.record(z.string(), z.number()).optional() }),
);

/** The model with what was trained in its place: the moving averages of the parameters, where such are kept. */
function withState<Model extends { readonly weights: Weights }>(model: Model, state: Weights): Model {
  const weights = new Map(
    [...model.weights].map(([name, tensor]) => [name, state.get(averageName(name)) ?? state.get(name) ?? tensor]),
  );
  return { ...model, weights };
}

/** Updates that a run has made so far; 0 where it has not begun. */
export async function stepsDone(folder: string): Promise<number> {
  const path = join(folder, 'state.safetensors');
  return existsSync(path) ? Number((await readMetadata(path)).step) : 0;
}

/** Trains `student`, or continues training it, to the last step. */
export async function train<Inputs, Model extends { readonly weights: Weights }>(
  student: Model,
  options: TrainOptions<Inputs, Model>,
): Promise<Trained<Model>> {
  const { open, folder, steps, checkpointEvery, accumulate = 1, batchesAfter, onStep = () => {}, measure } = options;
  const path = join(folder, 'state.safetensors');
  let state: Weights | undefined;
  let done = 0;
  let losses: LossPoint[] = [];
  if (existsSync(path)) {
    const stored = await readTensors(path);
    state = stored.tensors;
    done = Number(stored.metadata.step);
    losses = History.parse(JSON.parse(stored.metadata.losses!));
  }

  const runner = await open(state);
  let pending = 0;
  let sum = 0;
  let since = done;
  let call: Batch<Inputs>[] = [];
  if (done < steps) {
    for await (const batch of batchesAfter(done * accumulate)) {
      call.push(batch);
      const step = batch.step / accumulate;
      // A checkpoint follows an update: no gradients are waiting then.
      const checkpoint = Number.isInteger(step) && (step % checkpointEvery === 0 || step === steps);
      if (call.length < runner.stepsPerCall && !checkpoint) continue;
      const reports = await runner.runAll(call.map(({ inputs }) => inputs));
      reports.forEach((report, i) => {
        pending += report.loss / accumulate;
        const made = call[i]!.step / accumulate;
        if (!Number.isInteger(made)) return;
        onStep(made, { ...report, loss: pending });
        sum += pending;
        pending = 0;
      });
      call = [];
      if (checkpoint) {
        const tensors = await runner.state();
        const quality = await measure?.(withState(student, tensors));
        losses.push({ step, loss: sum / (step - since), ...(quality ? { quality } : {}) });
        sum = 0;
        since = step;
        await writeTensors(path, {
          tensors,
          metadata: { step: String(step), losses: JSON.stringify(losses) },
        });
      }
      if (step === steps) break;
    }
  }
  const trained = await runner.state();
  await runner.close();
  return { student: withState(student, trained), losses };
}
