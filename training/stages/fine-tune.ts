/** Phase 1 as a stage, for a checkpoint: fine-tuned on clicked pairs where the settings ask for it. */
import { sha256Hex } from '../../shared/digest.ts';
import { type RecipeContext, runFolder } from '../context.ts';
import { type FinetuneOptions, finetune, finetunePairs } from '../phases/finetune.ts';
import { stepsDone } from '../phases/train.ts';
import type { Checkpoint } from '../teacher/checkpoint.ts';
import { checkpointTeacher } from '../teacher/checkpoint-teacher.ts';
import type { Teacher } from '../teacher/teacher.ts';
import { catalogueVectors } from './catalogue.ts';
import { clickedPairs, clickFiles } from './clicks.ts';
import { followTraining } from './follow.ts';
import { hardNegatives, queryVectors } from './negatives.ts';
import type { SourceCheckpoint, Taught } from './teach.ts';

/** Goes on where an earlier run with the same data, checkpoint and settings stopped. */
export async function fineTuned(context: RecipeContext, { checkpoint, source }: SourceCheckpoint): Promise<Taught> {
  const { config, say } = context;
  const { seed, threads, finetune: settings } = config;
  const untuned = checkpointTeacher(checkpoint, { threads, source });
  if (settings.steps === 0) return { teacher: untuned, checkpoint, projection: 'none', losses: [] };

  const folder = await tuningFolder(context, checkpoint);
  say(`state of fine-tuning: ${folder}`);
  // A finished run needs no pairs any more.
  const material = (await stepsDone(folder)) === settings.steps ? NOTHING : await trainingMaterial(context, untuned);
  await untuned.close();
  const { onStep, stop } = followTraining('fine-tune', settings.steps);
  const tuned = await finetune({
    teacher: checkpoint,
    tokenizer: checkpoint.tokenizer,
    ...material,
    settings,
    seed,
    folder,
    threads,
    onStep,
  });
  stop();
  const { weights } = tuned.student;
  const result = {
    ...checkpoint,
    name: `${checkpoint.name}-tuned`,
    sha256: await digestOf(checkpoint, weights),
    weights,
  };
  return {
    teacher: checkpointTeacher(result, { threads, source: `${source}, fine-tuned` }),
    checkpoint: result,
    projection: 'none',
    losses: tuned.losses,
  };
}

/** Where the state of fine-tuning is. */
async function tuningFolder(context: RecipeContext, { sha256 }: Checkpoint): Promise<string> {
  const { config, dataset } = context;
  return runFolder({
    phase: 'finetune',
    teacher: sha256,
    data: await dataset.digest(clickFiles(context)),
    context: config.teacher.context,
    parts: config.data.parts,
    seed: config.seed,
    // As text: canonical JSON is for integers and strings.
    settings: JSON.stringify(config.finetune),
  });
}

/** Whether there is nothing left to train. */
export async function isFineTuned(context: RecipeContext, { checkpoint }: SourceCheckpoint): Promise<boolean> {
  const { steps } = context.config.finetune;
  return steps === 0 || (await stepsDone(await tuningFolder(context, checkpoint))) === steps;
}

type Material = Pick<FinetuneOptions, 'pairs' | 'negatives' | 'adTexts'>;
const NOTHING: Material = { pairs: [], negatives: [], adTexts: [] };

/** Pairs, and hard negatives that the untuned teacher takes for relevant. */
async function trainingMaterial(context: RecipeContext, untuned: Teacher): Promise<Material> {
  const { seed, finetune: settings } = context.config;
  const catalogue = await catalogueVectors(context, untuned);
  const { parts } = await clickedPairs(context, catalogue.ads);
  const pairs = await finetunePairs({ parts, settings, seed });

  const vectors = await queryVectors(context, { teacher: untuned, inputs: pairs.map(({ input }) => input) });
  const queries = pairs.map(({ query }) => query);
  const negatives = await hardNegatives(context, { queries, vectors, catalogue, dimension: untuned.dimension });
  return { pairs, negatives, adTexts: catalogue.texts };
}

/** Names the fine-tuned teacher by its bytes. */
async function digestOf({ sha256 }: Checkpoint, weights: Checkpoint['weights']): Promise<string> {
  const lines = [sha256];
  for (const [name, { data }] of weights) {
    lines.push(
      `${name} ${await sha256Hex(new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength))}`,
    );
  }
  return sha256Hex(lines.join('\n'));
}
