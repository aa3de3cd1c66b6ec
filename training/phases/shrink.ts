/**
 * The student made small in stages: pruned a little, aligned, pruned again, as in HARNESS-LM (arXiv 2605.23572), where 28 layers become 4
 * by way of 14 and 7. Before each stage importance is measured anew, on the student as it then is. One jump is a single stage.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HarnessError } from '../../shared/problem.ts';
import { hash32 } from '../data/seeded.ts';
import { writeWhole } from '../data/tensor-file.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { type AlignOptions, align } from './align.ts';
import { evenlySpaced, layerImportance, mostImportant, prune } from './prune.ts';
import { pruneUnits, unitImportance } from './prune-units.ts';
import type { LossPoint, Trained } from './train.ts';

/** How small a stage makes the student, and how long it is aligned after that. */
export interface PruneStage {
  /** Layers left: how many, or which of those the student has when the stage begins. */
  readonly layers: number | readonly number[];
  /** Feed-forward units a layer left, the most important ones; default all. */
  readonly intermediate?: number | undefined;
  /** Share of the alignment's updates, 0 to 1; those of all stages add up to 1. */
  readonly share: number;
}

export interface ShrinkOptions extends Omit<AlignOptions, 'student'> {
  /** What is made small, such as a copy of the teacher (student.ts). */
  readonly start: EncoderModel;
  readonly stages: readonly PruneStage[];
  /** Which layers stay where a stage says how many: the most important ones, or evenly spaced ones. */
  readonly select: 'importance' | 'even';
  /** Texts that importance is measured on. */
  readonly calibration: readonly string[];
  /** Called when a stage begins or continues. */
  readonly onStage?: (stage: Stage) => void;
}

/** What a stage kept. */
export interface Stage {
  /** Counted from 0. */
  readonly stage: number;
  /** Numbers of the layers in `start`. */
  readonly layers: readonly number[];
  /** Feed-forward units a layer. */
  readonly intermediate: number;
  /** Updates of its alignment. */
  readonly steps: number;
}

export interface Shrunk extends Trained<EncoderModel> {
  readonly stages: readonly Stage[];
}

const Kept = z.object({
  /** Layers of the student before the stage. */
  layers: z.array(z.int().nonnegative()),
  /** Units of each layer that is left; absent where all stay. */
  units: z.array(z.array(z.int().nonnegative())).optional(),
});
type Kept = z.infer<typeof Kept>;

interface Measured {
  readonly calibration: readonly string[];
  readonly tokenizer: TextTokenizer;
}

function applied(student: EncoderModel, { layers, units }: Kept): EncoderModel {
  const small = prune(student, { keep: layers, maxTokens: student.config.max_position_embeddings });
  return units ? pruneUnits(small, units) : small;
}

async function choose(
  student: EncoderModel,
  { layers, intermediate }: PruneStage,
  { select, calibration, tokenizer }: Measured & Pick<ShrinkOptions, 'select'>,
): Promise<Kept> {
  const { num_hidden_layers: present, intermediate_size: width } = student.config;
  const asked = typeof layers === 'number' ? layers : layers.length;
  if (asked > present || (intermediate ?? width) > width)
    throw new HarnessError(
      'configuration',
      `pruning stage: expected at most the ${present} layers x ${width} units of the student, received ${asked} x ${intermediate ?? width}.`,
    );
  const measured = { texts: calibration, tokenizer };
  const keep = async (): Promise<number[]> => {
    if (typeof layers !== 'number') return [...layers];
    if (select === 'even') return evenlySpaced(present, layers);
    return mostImportant(await layerImportance(student, measured), layers);
  };
  const kept = { layers: await keep() };
  if (intermediate === undefined || intermediate === width) return kept;
  const importance = await unitImportance(applied(student, kept), measured);
  return { ...kept, units: importance.map((units) => mostImportant(units, intermediate)) };
}

/** What a stage keeps: chosen once and written down, so that a killed run continues with the same. */
async function keptAt(file: string, chosen: () => Promise<Kept>): Promise<Kept> {
  if (existsSync(file)) return Kept.parse(JSON.parse(await readFile(file, 'utf8')));
  const kept = await chosen();
  await writeWhole(file, JSON.stringify(kept));
  return kept;
}

/** Updates of each stage: their shares of all of them, rounded so that nothing is lost. */
export function stageSteps(stages: readonly PruneStage[], steps: number): number[] {
  const total = stages.reduce((sum, { share }) => sum + share, 0);
  if (Math.abs(total - 1) > 1e-6)
    throw new HarnessError('configuration', `pruning stages: expected shares that add up to 1, received ${total}.`);
  let share = 0;
  const ends = stages.map((stage) => {
    share += stage.share;
    return Math.round(steps * share);
  });
  const counts = ends.map((end, i) => end - (ends[i - 1] ?? 0));
  if (counts.some((count) => count < 1))
    throw new HarnessError(
      'configuration',
      `pruning stages: expected at least one update each, received ${counts.join(', ')} of ${steps}.`,
    );
  return counts;
}

/**
 * Prunes and aligns, stage after stage, each in a folder of its own with its own warm-up and decay, or continues where
 * an earlier run stopped. Losses count the updates of all stages. @throws HarnessError where the stages do not fit the
 * model.
 */
export async function alignInStages(options: ShrinkOptions): Promise<Shrunk> {
  const { start, stages, select, calibration, onStage = () => {}, ...aligning } = options;
  const { settings, tokenizer, seed, folder, onStep = () => {} } = aligning;
  const counts = stageSteps(stages, settings.steps);
  let student = start;
  let layers: readonly number[] = [...Array(start.config.num_hidden_layers).keys()];
  const losses: LossPoint[] = [];
  const done: Stage[] = [];
  let before = 0;
  for (const [stage, steps] of counts.entries()) {
    const place = join(folder, `stage-${stage}`);
    const chosen = stages[stage]!;
    const kept = await keptAt(join(place, 'kept.json'), () =>
      choose(student, chosen, { select, calibration, tokenizer }),
    );
    student = applied(student, kept);
    layers = kept.layers.map((layer) => layers[layer]!);
    done.push({ stage, layers, intermediate: student.config.intermediate_size, steps });
    onStage(done.at(-1)!);
    const offset = before;
    const aligned = await align({
      ...aligning,
      student,
      folder: place,
      settings: { ...settings, steps, warmupSteps: Math.round(settings.warmupSteps * chosen.share) },
      // Stages see the texts in different orders; a single one sees them as plain alignment does.
      seed: stage === 0 ? seed : hash32(`${seed} stage ${stage}`),
      onStep: (step, report) => onStep(offset + step, report),
    });
    student = aligned.student;
    losses.push(...aligned.losses.map((point) => ({ ...point, step: offset + point.step })));
    before += steps;
  }
  return { student, losses, stages: done };
}
