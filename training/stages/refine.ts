/** Phase 3 as a stage: the aligned student on clicked pairs, against the teacher's frozen ad vectors. */
import { type RecipeContext, runFolder } from '../context.ts';
import { queryTargets } from '../phases/prepare.ts';
import { type RefineOptions, refine } from '../phases/refine.ts';
import type { LossPoint } from '../phases/train.ts';
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
}

/** What every contrastive training of a query tower has in common: clicked pairs, frozen ads, and how they are trained on. */
export type RefinementInputs = Omit<RefineOptions, 'student' | 'folder' | 'settings' | 'onStep' | 'measure'>;

export interface RefinementSources {
  readonly catalogue: CatalogueVectors;
  readonly tokenizer: TextTokenizer;
  readonly teacher: Teacher;
}

export async function refinementInputs(
  context: RecipeContext,
  { catalogue: { ads, vectors }, tokenizer, teacher }: RefinementSources,
): Promise<RefinementInputs> {
  const { seed, threads, device } = context.config;
  const { parts } = await clickedPairs(context, ads);
  return {
    tokenizer,
    parts,
    ads: vectors,
    targets: queryTargets({ teacher, parts: context.config.data.parts }),
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

/** Goes on where an earlier run stopped; leaves the student as it is where the settings ask for no steps. */
export async function refineStudent(
  context: RecipeContext,
  { inputs, aligned, measure }: { inputs: RefinementInputs; aligned: Aligned; measure?: RefineOptions['measure'] },
): Promise<Refined> {
  const { config, dataset, say } = context;
  const { refine: settings } = config;
  if (settings.steps === 0) return { student: aligned.student, losses: [] };
  const folder = await runFolder({
    phase: 'refine',
    before: aligned.run,
    data: await dataset.digest(clickFiles(context)),
    settings: JSON.stringify(settings),
  });
  say(`state of refinement: ${folder}`);
  const { onStep, stop } = followTraining('refine', settings.steps);
  const { student, losses } = await refine({ ...inputs, student: aligned.student, settings, folder, onStep, measure });
  stop();
  return { student, losses };
}
