/** Phase 1 as a stage: the checkpoint, fine-tuned on clicked pairs where the settings ask for it, is the teacher of what follows. */
import { sha256Hex } from '../../shared/digest.ts';
import { type RecipeContext, runFolder } from '../context.ts';
import { clickedQueries } from '../data/pairs.ts';
import type { FileName } from '../data/records.ts';
import { finetune, finetunePairs } from '../phases/finetune.ts';
import { mineNegatives } from '../phases/negatives.ts';
import { openTargets } from '../phases/prepare.ts';
import type { LossPoint } from '../phases/train.ts';
import type { Checkpoint } from '../teacher/checkpoint.ts';
import { checkpointTeacher } from '../teacher/checkpoint-teacher.ts';
import type { Teacher } from '../teacher/teacher.ts';
import { bookings, catalogueVectors } from './catalogue.ts';
import { followTraining } from './follow.ts';

export interface Taught {
  readonly teacher: Teacher;
  /** The teacher's own model: the student starts from it, and its speed is measured. */
  readonly checkpoint: Checkpoint;
  readonly losses: readonly LossPoint[];
}

const CLICK_FILES = ['catalogue.jsonl', 'clicks.train.jsonl', 'queries.train.jsonl'] as const;

/** The files that clicked pairs are made of, with context where the teacher reads it. */
export const clickFiles = ({ config, dataset }: RecipeContext): FileName[] =>
  config.teacher.context && dataset.has('oracle.train.jsonl')
    ? [...CLICK_FILES, 'oracle.train.jsonl']
    : [...CLICK_FILES];

/** Goes on where an earlier run with the same data, checkpoint and settings stopped. */
export async function teach(context: RecipeContext): Promise<Taught> {
  const { config, dataset, checkpoint, checkpointSource: source, say } = context;
  const { seed, threads, finetune: settings } = config;
  const untuned = checkpointTeacher(checkpoint, { threads, source });
  if (settings.steps === 0) return { teacher: untuned, checkpoint, losses: [] };

  const folder = await runFolder({
    phase: 'finetune',
    teacher: checkpoint.sha256,
    data: await dataset.digest(clickFiles(context)),
    context: config.teacher.context,
    seed,
    // As text: canonical JSON is for integers and strings.
    settings: JSON.stringify(settings),
  });
  say(`state of fine-tuning: ${folder}`);
  const { ads, texts: adTexts, vectors: adVectors } = await catalogueVectors(context, untuned);
  const queries = await clickedQueries(
    dataset,
    ads.map(({ id }) => id),
  );
  const pairs = finetunePairs({ queries, settings, context: config.teacher.context, seed });

  const targets = openTargets(untuned, {
    role: 'query',
    parts: config.data.parts,
    label: 'query vectors',
    total: pairs.length,
    unit: 'queries',
  });
  const vectors = await targets.store.vectorsOf(
    pairs.map(({ input }) => input),
    targets,
  );
  targets.stop();
  await untuned.close();
  const { negatives, skipped } = await mineNegatives({
    queries: pairs.map(({ query }) => query),
    vectors,
    ads: adVectors,
    dimension: untuned.dimension,
    booked: bookings(ads),
    ...settings.negatives,
  });
  say(`hard negatives: passed over ${skipped.clicked} clicked ads and ${skipped.aboveCap} above the cap`);

  const { onStep, stop } = followTraining('fine-tune', settings.steps);
  const tuned = await finetune({
    teacher: checkpoint,
    tokenizer: checkpoint.tokenizer,
    pairs,
    negatives,
    adTexts,
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
    losses: tuned.losses,
  };
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
