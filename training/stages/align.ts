/** Phase 2 as a stage: training texts, the teacher's vectors of them, and a student that shrinks and is aligned. */
import { sha256Hex } from '../../shared/digest.ts';
import { HarnessError } from '../../shared/problem.ts';
import { type RecipeContext, runFolder } from '../context.ts';
import type { TextPart } from '../data/texts.ts';
import type { AlignmentPart, AlignOptions } from '../phases/align.ts';
import { mixKey, sampleTexts, targetParts, trainingTexts } from '../phases/prepare.ts';
import { alignInStages, type Stage } from '../phases/shrink.ts';
import { type InitialStudent, initialStudent, type StudentOrigin } from '../phases/student.ts';
import type { LossPoint } from '../phases/train.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { optionalText } from '../teacher/files.ts';
import { followTraining } from './follow.ts';
import { openCheckpoint, type Taught } from './teach.ts';

/** Training texts on which layers and units are weighed. */
const CALIBRATION_TEXTS = 512;

export interface Aligned {
  readonly student: EncoderModel;
  readonly texts: readonly TextPart[];
  /** The same texts with the teacher's vectors. */
  readonly parts: readonly AlignmentPart[];
  /** What each stage of pruning kept. */
  readonly stages: readonly Stage[];
  readonly losses: readonly LossPoint[];
  /** Names everything that decided the student: later phases are kept under it. */
  readonly run: string;
}

export interface StartingStudent extends InitialStudent {
  /** Digest of the checkpoint or tokenizer that it comes from; absent where the teacher says it. */
  readonly origin?: string;
}

/** The student before training, as the settings say. */
export async function startingStudent(
  { config, say }: RecipeContext,
  { teacher, checkpoint }: Taught,
): Promise<StartingStudent> {
  const { from, maxTokens } = config.student;
  const start = async (): Promise<{ from: StudentOrigin; origin?: string }> => {
    if (from === 'teacher') return { from };
    if ('checkpoint' in from) {
      const { checkpoint: own } = await openCheckpoint(from.checkpoint, say);
      return { from: { checkpoint: own }, origin: own.sha256 };
    }
    const tokenizerJson = from.tokenizer === undefined ? checkpoint?.tokenizerJson : await tokenizerAt(from.tokenizer);
    if (tokenizerJson === undefined) return { from: { scratch: from.scratch } };
    return { from: { scratch: from.scratch, tokenizerJson }, origin: await sha256Hex(tokenizerJson) };
  };
  const { from: chosen, ...named } = await start();
  const initial = initialStudent({
    from: chosen,
    ...(checkpoint ? { teacher: checkpoint } : {}),
    dimension: teacher.dimension,
    maxTokens,
    seed: config.seed,
  });
  return { ...initial, ...named };
}

async function tokenizerAt(path: string): Promise<string> {
  const text = await optionalText(path);
  if (text === undefined)
    throw new HarnessError('not_found', `student.from.tokenizer: expected a tokenizer.json at ${path}, found none.`);
  return text;
}

/** Goes on where an earlier run with the same data, teacher and settings stopped. */
export async function alignStudent(
  context: RecipeContext,
  { taught, initial, measure }: { taught: Taught; initial: StartingStudent; measure?: AlignOptions['measure'] },
): Promise<Aligned> {
  const { config, dataset, say, sayOnce } = context;
  const { seed, threads, device, align: settings } = config;
  const texts = await trainingTexts(context);
  const parts = await targetParts(texts, { teacher: taught.teacher, parts: config.data.parts });
  const folder = await runFolder({
    phase: 'align',
    teacher: taught.teacher.sha256,
    texts: await mixKey(config, dataset),
    seed,
    ...(initial.origin ? { origin: initial.origin } : {}),
    // As text: canonical JSON is for integers and strings.
    settings: JSON.stringify([config.student, settings]),
  });
  say(`state of alignment: ${folder}`);
  const { onStep, stop } = followTraining('align', settings.steps);
  const { student, stages, losses } = await alignInStages({
    start: initial.model,
    tokenizer: initial.tokenizer,
    calibration: await sampleTexts(texts, CALIBRATION_TEXTS),
    stages: config.student.stages,
    select: config.student.select,
    parts,
    settings,
    seed,
    folder,
    device,
    threads,
    say: sayOnce,
    onStep,
    measure,
    onStage: ({ stage, layers, intermediate, steps }) =>
      say(`stage ${stage + 1}: layers ${layers.join(', ')} with ${intermediate} units, ${steps} steps`),
  });
  stop();
  return { student, texts, parts, stages, losses, run: folder };
}
