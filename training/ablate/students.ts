/** The student's side of the study: every variant under every seed, against one teacher. */
import { join } from 'node:path';
import { type RecipeContext, runFolder } from '../context.ts';
import { mixKey, sampleTexts, targetParts, trainingTexts } from '../phases/prepare.ts';
import { evenlySpaced, prune } from '../phases/prune.ts';
import { refine } from '../phases/refine.ts';
import { alignInStages } from '../phases/shrink.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { startingStudent } from '../stages/align.ts';
import { catalogueVectors } from '../stages/catalogue.ts';
import { clickFiles } from '../stages/clicks.ts';
import { followTraining } from '../stages/follow.ts';
import { refinementInputs } from '../stages/refine.ts';
import type { Taught } from '../stages/teach.ts';
import { openValidation } from '../stages/validate.ts';
import { type AblationSettings, type Measured, type Variant, variants } from './variants.ts';

const CALIBRATION_TEXTS = 256;

/** Trains and measures; what an earlier run finished is read back. */
export async function ablateStudents(
  context: RecipeContext,
  { taught, settings }: { taught: Taught; settings: AblationSettings },
): Promise<Measured[]> {
  const { config, dataset } = context;
  const { threads } = config;
  const texts = await trainingTexts(context);
  const parts = await targetParts(texts, { teacher: taught.teacher, parts: config.data.parts });
  const { model: start, tokenizer } = await startingStudent(context, taught);
  const catalogue = await catalogueVectors(context, taught.teacher);
  const inputs = await refinementInputs(context, { catalogue, tokenizer, teacher: taught.teacher, texts });
  const validation = await openValidation(context, { catalogue, tokenizer, count: settings.queries });
  const calibration = await sampleTexts(texts, CALIBRATION_TEXTS);
  const run = await runFolder({
    phase: 'ablate',
    teacher: taught.teacher.sha256,
    texts: await mixKey(config, dataset),
    clicks: await dataset.digest(clickFiles(context)),
    settings: JSON.stringify([config.align, config.refine, settings]),
  });
  const shared = { batch: settings.batch, warmupSteps: 10, checkpointEvery: 50 };

  const aligned = async (
    { objective, stages }: Pick<Variant, 'objective' | 'stages'>,
    { seed, label }: { seed: number; label: string },
  ): Promise<EncoderModel> => {
    const layers = stages.at(-1)!.layers as number;
    const keep = evenlySpaced(start.config.num_hidden_layers, layers);
    if (!objective) return prune(start, { keep, maxTokens: config.student.maxTokens });
    const { onStep, stop } = followTraining(label, settings.alignSteps);
    const { student } = await alignInStages({
      start,
      tokenizer,
      calibration,
      stages,
      select: config.student.select,
      parts,
      settings: {
        ...config.align,
        ...shared,
        steps: settings.alignSteps,
        objective,
        matryoshka: [],
        trainWords: false,
      },
      seed,
      folder: join(run, `${seed}`, `${objective} ${stages.length}`),
      threads,
      onStep,
    });
    stop();
    return student;
  };

  const measured: Measured[] = [];
  for (const seed of settings.seeds) {
    for (const variant of variants(start.config.num_hidden_layers, settings)) {
      const label = `${variant.name}, seed ${seed}`;
      let student = await aligned(variant, { seed, label });
      if (variant.refineSteps > 0) {
        const { onStep, stop } = followTraining(label, variant.refineSteps);
        const refined = await refine({
          ...inputs,
          student,
          // The paper's phase 3: clicked pairs alone.
          settings: { ...config.refine, ...shared, steps: variant.refineSteps, distillation: 0 },
          seed,
          folder: join(run, `${seed}`, variant.name),
          onStep,
        });
        stop();
        student = refined.student;
      }
      const { p10, ndcg10 } = await validation.measure(student);
      context.say(`${label}: P@10 ${p10!.toFixed(4)}`);
      measured.push({ variant: variant.name, seed, p10: p10!, ndcg10: ndcg10! });
    }
  }
  await validation.close();
  return measured;
}
