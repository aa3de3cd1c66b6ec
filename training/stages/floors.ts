/** The floors as a stage: what the student must beat, trained on the same data against the same ads. */
import { type RecipeContext, runFolder } from '../context.ts';
import type { TrainedFloor } from '../evaluate/report.ts';
import type { Floor } from '../floors/floor.ts';
import { trainNaiveStudent } from '../floors/naive.ts';
import { trainStaticStudent } from '../floors/static.ts';
import { prune } from '../phases/prune.ts';
import type { InitialStudent } from '../phases/student.ts';
import type { Aligned } from './align.ts';
import { clickFiles } from './clicks.ts';
import { followTraining } from './follow.ts';
import type { RefinementInputs } from './refine.ts';
import type { Taught } from './teach.ts';

export interface FloorOptions {
  readonly taught: Taught;
  readonly initial: InitialStudent;
  readonly aligned: Aligned;
  readonly inputs: RefinementInputs;
}

/** Trains the floors that the settings ask for, or reads them back where an earlier run made them. */
export async function trainFloors(
  context: RecipeContext,
  options: FloorOptions,
): Promise<Partial<Record<TrainedFloor, Floor>>> {
  const { config } = context;
  const { static: fixed, naive } = config.floors;
  return {
    ...(fixed.alignSteps > 0 && options.taught.checkpoint ? { static: await staticFloor(context, options) } : {}),
    ...(naive.steps > 0 ? { naive: await naiveFloor(context, options) } : {}),
  };
}

const folderOf = async (context: RecipeContext, { taught, aligned }: FloorOptions, floor: object): Promise<string> =>
  runFolder({
    phase: 'floor',
    floor: JSON.stringify(floor),
    teacher: taught.teacher.sha256,
    texts: aligned.texts.map(({ rows }) => rows).join(),
    data: await context.dataset.digest(clickFiles(context)),
    seed: context.config.seed,
  });

/** Reads the teacher's vocabulary: there is none for a teacher that does not run here. */
async function staticFloor(context: RecipeContext, options: FloorOptions): Promise<Floor> {
  const { align, refine, floors, seed, threads, device } = context.config;
  const { dimension, sif, alignSteps, refineSteps, learningRate } = floors.static;
  const settings = {
    dimension,
    sif,
    // The table is all that there is to train; decay would shrink the tokens that rarely occur.
    align: { ...align, steps: alignSteps, learningRate, weightDecay: 0, trainWords: true, matryoshka: [] },
    refine: { ...refine, steps: refineSteps, learningRate, weightDecay: 0, distillation: 0 },
  };
  const { checkpoint } = options.taught;
  const follow = {
    align: followTraining('static, align', alignSteps),
    refine: followTraining('static, refine', refineSteps),
  };
  const floor = await trainStaticStudent({
    teacher: checkpoint!,
    tokenizer: checkpoint!.tokenizer,
    parts: options.aligned.parts,
    clicked: options.inputs.parts,
    ads: options.inputs.ads,
    booked: options.inputs.booked,
    settings,
    seed,
    folder: await folderOf(context, options, { static: settings }),
    device,
    threads,
    say: context.sayOnce,
    onStep: (phase, step, report) => follow[phase].onStep(step, report),
  });
  follow.align.stop();
  follow.refine.stop();
  return floor;
}

/** The student's size, from where the student starts, and phase 3 alone. */
async function naiveFloor(context: RecipeContext, options: FloorOptions): Promise<Floor> {
  const { floors, refine, student } = context.config;
  const settings = { ...refine, steps: floors.naive.steps, distillation: 0 };
  const keep = options.aligned.stages.at(-1)!.layers;
  const { onStep, stop } = followTraining('naive', settings.steps);
  const floor = await trainNaiveStudent({
    ...options.inputs,
    student: prune(options.initial.model, { keep, maxTokens: student.maxTokens }),
    settings,
    folder: await folderOf(context, options, { naive: settings, keep }),
    onStep,
  });
  stop();
  return floor;
}
