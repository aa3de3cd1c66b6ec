/**
 * Phase 3 as a stage: the aligned student on clicked pairs, against the teacher's frozen ad vectors; then hardening:
 * further runs from where it ended, whose weights are averaged with those they began from.
 */
import { type RecipeContext, runFolder } from '../context.ts';
import type { TextPart } from '../data/texts.ts';
import { meanWeights } from '../phases/mean-weights.ts';
import { bare, queryTargets, targetParts } from '../phases/prepare.ts';
import { type RefineOptions, refine } from '../phases/refine.ts';
import type { RefineSettings } from '../phases/refine-settings.ts';
import type { LossPoint, Trained } from '../phases/train.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import type { Teacher } from '../teacher/teacher.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import type { Aligned } from './align.ts';
import { bookings, type CatalogueVectors } from './catalogue.ts';
import { clickedPairs, clickFiles } from './clicks.ts';
import { followTraining } from './follow.ts';

export interface Refined {
  readonly student: EncoderModel;
  readonly losses: readonly LossPoint[];
  /** Of each run of hardening. */
  readonly hardening: readonly (readonly LossPoint[])[];
}

/** What every contrastive training of a query tower has in common: clicked pairs, frozen ads, and how they are trained on. */
export type RefinementInputs = Omit<RefineOptions, 'student' | 'folder' | 'settings' | 'onStep' | 'measure'>;

export interface RefinementSources {
  readonly catalogue: CatalogueVectors;
  readonly tokenizer: TextTokenizer;
  readonly teacher: Teacher;
  /** The training texts: general text among them is for a replay. */
  readonly texts: readonly TextPart[];
}

export async function refinementInputs(
  context: RecipeContext,
  { catalogue: { ads, vectors }, tokenizer, teacher, texts }: RefinementSources,
): Promise<RefinementInputs> {
  const { seed, threads, device, data } = context.config;
  const { parts } = await clickedPairs(context, ads);
  return {
    tokenizer,
    parts,
    ads: vectors,
    targets: queryTargets({ teacher, parts: data.parts }),
    general: await targetParts(texts, { teacher, parts: data.parts, wanted: bare }),
    booked: bookings(ads),
    seed,
    threads,
    device,
    say: context.sayOnce,
    onRefresh: ({ step, queries, skipped }) =>
      context.say(
        `step ${step}: negatives of ${queries} queries; passed over ${skipped.clicked} clicked ads and ${skipped.aboveCap} above the cap`,
      ),
  };
}

export interface RefineStage {
  readonly inputs: RefinementInputs;
  readonly aligned: Pick<Aligned, 'student' | 'run'>;
  readonly measure?: RefineOptions['measure'];
}

/** One run of phase 3, or the rest of it. */
async function run(
  context: RecipeContext,
  { label, settings, inputs, aligned, measure }: RefineStage & { label: string; settings: RefineSettings },
): Promise<Trained & { readonly folder: string }> {
  const { dataset, say } = context;
  const folder = await runFolder({
    phase: 'refine',
    before: aligned.run,
    data: await dataset.digest(clickFiles(context)),
    settings: JSON.stringify(settings),
  });
  say(`state of ${label}: ${folder}`);
  const { onStep, stop } = followTraining(label, settings.steps);
  const trained = await refine({ ...inputs, student: aligned.student, settings, folder, onStep, measure });
  stop();
  return { ...trained, folder };
}

/** Goes on where an earlier run stopped; leaves the student as it is where the settings ask for no steps. */
export async function refineStudent(context: RecipeContext, stage: RefineStage): Promise<Refined> {
  const { refine: settings, harden } = context.config;
  if (settings.steps === 0) return { student: stage.aligned.student, losses: [], hardening: [] };
  const { student, losses, folder } = await run(context, { ...stage, label: 'refine', settings });
  const runs: Trained[] = [];
  for (const [i, otherwise] of harden.entries()) {
    runs.push(
      await run(context, {
        ...stage,
        label: `harden ${i + 1}`,
        // Another seed: other batches and other noise than before.
        inputs: { ...stage.inputs, seed: stage.inputs.seed + i + 1 },
        aligned: { student, run: folder },
        settings: { ...settings, ...otherwise },
      }),
    );
  }
  const students = [student, ...runs.map((trained) => trained.student)];
  return {
    student: { ...student, weights: meanWeights(students.map(({ weights }) => weights)) },
    losses,
    hardening: runs.map((trained) => trained.losses),
  };
}
