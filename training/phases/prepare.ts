/** Before training: texts dealt into parts, and the teacher's vector of each text and ad on disk. */
import { join } from 'node:path';
import { canonicalJson, sha256Hex } from '../../shared/digest.ts';
import type { RecipeConfig } from '../config.ts';
import { CACHE, type RecipeContext } from '../context.ts';
import type { DatasetFolder } from '../data/records.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { dealTexts, mixedTexts, readPart, type TextPart } from '../data/texts.ts';
import { type Progress, startProgress } from '../progress.ts';
import { floatModel, TextEncoderSession } from '../runner/encoder.ts';
import type { Checkpoint } from '../teacher/checkpoint.ts';
import { VectorStore } from '../teacher/targets.ts';
import type { AlignmentPart } from './align.ts';

/** The teacher's vectors on disk, and the teacher to make what is missing: opened when first needed. */
export function openTargets({ teacher, config }: RecipeContext, what: { label: string; total: number; unit: string }) {
  const dimension = teacher.config.hidden_size;
  const { parts } = config.data;
  const folder = join(CACHE, 'targets', teacher.sha256.slice(0, 16), String(parts));
  let session: TextEncoderSession | undefined;
  let progress: Progress | undefined;
  let done = 0;
  return {
    store: new VectorStore({ folder, dimension }),
    parts,
    encode: async (texts: readonly string[]): Promise<Float32Array> => {
      session ??= await openTeacher(teacher, config.threads);
      progress ??= startProgress({ ...what, start: done });
      return session.encode(texts);
    },
    onProgress(texts: number) {
      done = texts;
      progress?.update(done);
    },
    async close() {
      progress?.stop();
      await session?.close();
    },
  };
}

/** The training texts in parts, each text with the teacher's vector on disk. */
export async function targetsOf(context: RecipeContext, texts: readonly TextPart[]): Promise<AlignmentPart[]> {
  const total = texts.reduce((sum, { rows }) => sum + rows, 0);
  const targets = openTargets(context, { label: 'teacher vectors', total, unit: 'texts' });
  const read = async (part: TextPart) => ({ index: part.index, texts: await readPart(part) });
  let finished = 0;
  for (const part of texts) {
    await targets.store.prepare(await read(part), targets.encode, (done) => targets.onProgress(finished + done));
    finished += part.rows;
  }
  await targets.close();
  context.say(`${total} training texts have their teacher vectors`);
  return texts.map((part) => ({
    rows: part.rows,
    async read() {
      const stored = await read(part);
      return { texts: stored.texts, vectors: await targets.store.read(stored) };
    },
  }));
}

const openTeacher = (teacher: Checkpoint, threads: number): Promise<TextEncoderSession> =>
  TextEncoderSession.open(floatModel(teacher), {
    tokenizer: teacher.tokenizer,
    dimension: teacher.config.hidden_size,
    threads,
  });

/** The training texts dealt into parts, under a folder of their own for this mix. */
export async function trainingTexts({ config, dataset, say }: RecipeContext): Promise<TextPart[]> {
  const { seed, data } = config;
  const mix = {
    seed,
    generalShare: data.generalShare,
    onHeldOut: (count: number) => say(`${count} texts left out: they are validation or test queries`),
  };
  return dealTexts(mixedTexts(dataset, mix), {
    folder: join(CACHE, 'texts', await mixKey(config, dataset)),
    parts: data.parts,
  });
}

export const TRAINING_FILES = [
  'queries.train.jsonl',
  'text.general.jsonl',
  'queries.validation.jsonl',
  'queries.test.jsonl',
] as const;

/** Names what the training texts are made from. */
export async function mixKey({ seed, data }: RecipeConfig, dataset: DatasetFolder): Promise<string> {
  const identity = {
    data: await dataset.digest(TRAINING_FILES),
    seed,
    share: String(data.generalShare),
    parts: data.parts,
  };
  return (await sha256Hex(canonicalJson(identity))).slice(0, 16);
}

/** Some training texts, spread over a part, for calibration. */
export async function sampleTexts(parts: readonly TextPart[], count: number): Promise<string[]> {
  const texts = count === 0 ? [] : await readPart(parts[0]!);
  return shuffle(texts, seeded('calibration')).slice(0, count);
}
