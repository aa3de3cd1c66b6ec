/** Before training: texts dealt into parts, and the teacher's vector of each text and ad on disk. */
import { join } from 'node:path';
import { canonicalJson, sha256Hex } from '../../shared/digest.ts';
import type { RecipeConfig } from '../config.ts';
import { CACHE, type RecipeContext } from '../context.ts';
import type { DatasetFolder } from '../data/records.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { dealTexts, type Mixed, mixedTexts, readPart, type TextPart } from '../data/texts.ts';
import { type Progress, startProgress } from '../progress.ts';
import { type TeacherText, teacherInput } from '../teacher/input.ts';
import { VectorStore } from '../teacher/targets.ts';
import type { Role, Teacher } from '../teacher/teacher.ts';
import type { AlignmentPart } from './align.ts';

export interface TargetOptions {
  readonly role: Role;
  /** Files that vectors are spread over. */
  readonly parts: number;
  /** Where vectors are kept; default under the teacher's digest in the cache. */
  readonly folder?: string;
  /** For the progress bar. */
  readonly label?: string;
  readonly total: number;
  readonly unit?: string;
}

/** Where the vectors of a teacher are kept. */
export const vectorFolder = (sha256: string): string => join(CACHE, 'targets', sha256.slice(0, 16));

/** The teacher's vectors on disk, and the teacher to make what is missing. */
export function openTargets(teacher: Teacher, options: TargetOptions) {
  const { role, parts, label = 'teacher vectors', total, unit = 'texts' } = options;
  const folder = options.folder ?? vectorFolder(teacher.sha256);
  let progress: Progress | undefined;
  let done = 0;
  return {
    store: new VectorStore({ folder: join(folder, `${role}-${parts}`), dimension: teacher.dimension }),
    parts,
    encode: (texts: readonly string[]): Promise<Float32Array> => {
      progress ??= startProgress({ label, total, unit, start: done });
      const before = done;
      return teacher.encode(texts, { role, onProgress: (fresh) => progress?.update(before + fresh) });
    },
    onProgress(texts: number) {
      done = texts;
      progress?.update(done);
    },
    stop: () => progress?.stop(),
  };
}

/** Whether the teacher reads no more of a text than the student: so it is with general text. */
export const bare = ({ context }: TeacherText): boolean => context === undefined;

/**
 * The training texts in parts, each text with the teacher's vector on disk: of the text and its context, where it has one.
 * @param wanted Leaves the others out.
 */
export async function targetParts(
  texts: readonly TextPart[],
  {
    teacher,
    wanted = () => true,
    ...where
  }: { teacher: Teacher; parts: number; folder?: string; wanted?: (text: TeacherText) => boolean },
): Promise<AlignmentPart[]> {
  const total = texts.reduce((sum, { rows }) => sum + rows, 0);
  const targets = openTargets(teacher, { role: 'query', total, ...where });
  const inputs = async (part: TextPart) => {
    const rows = (await readPart(part)).filter(wanted);
    return { rows, stored: { index: part.index, texts: rows.map(teacherInput) } };
  };
  const sizes: number[] = [];
  let finished = 0;
  for (const part of texts) {
    const { rows, stored } = await inputs(part);
    await targets.store.prepare(stored, targets.encode, (done) => targets.onProgress(finished + done));
    finished += part.rows;
    sizes.push(rows.length);
  }
  targets.stop();
  return texts.map((part, i) => ({
    rows: sizes[i]!,
    async read() {
      const { rows, stored } = await inputs(part);
      // The student's side: the bare text. Context ends here.
      return { texts: rows.map(({ text }) => text), vectors: await targets.store.read(stored) };
    },
  }));
}

/** Looks the teacher's vectors of training queries up among those of the training texts: [queries, dimension], in the order asked. */
export function queryTargets({ teacher, parts }: { teacher: Teacher; parts: number }) {
  return async (queries: readonly TeacherText[]): Promise<Float32Array> => {
    const targets = openTargets(teacher, { role: 'query', parts, total: queries.length });
    const keys = queries.map(({ text }) => text);
    const { store, encode } = targets;
    const vectors = await store.vectorsOf(queries.map(teacherInput), { parts, keys, encode, onProgress: () => {} });
    targets.stop();
    return vectors;
  };
}

/** The training texts dealt into parts, under a folder of their own for this mix. */
export async function trainingTexts({ config, dataset, say }: RecipeContext): Promise<TextPart[]> {
  const { seed, data } = config;
  const mix = {
    seed,
    generalShare: data.generalShare,
    context: config.teacher.context,
    maxUnmatched: data.maxBadShare,
    onMixed({ heldOut, unmatched, general }: Mixed) {
      say(`${heldOut} texts left out: they are validation or test queries`);
      if (unmatched > 0) say(`${unmatched} contexts left out: their query is not among the training queries`);
      if (general.available < general.wanted)
        say(
          `general text: ${general.wanted} texts asked for by data.generalShare, the dataset has ${general.available}`,
        );
    },
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

const trainingFiles = (dataset: DatasetFolder) =>
  dataset.has('oracle.train.jsonl') ? [...TRAINING_FILES, 'oracle.train.jsonl' as const] : TRAINING_FILES;

/** Names what the training texts are made from. */
export async function mixKey({ seed, data, teacher }: RecipeConfig, dataset: DatasetFolder): Promise<string> {
  const identity = {
    data: await dataset.digest(trainingFiles(dataset)),
    seed,
    share: String(data.generalShare),
    context: teacher.context,
    parts: data.parts,
  };
  return (await sha256Hex(canonicalJson(identity))).slice(0, 16);
}

/** Some training texts, spread over a part, for calibration. */
export async function sampleTexts(parts: readonly TextPart[], count: number): Promise<string[]> {
  const texts = count === 0 ? [] : (await readPart(parts[0]!)).map(({ text }) => text);
  return shuffle(texts, seeded('calibration')).slice(0, count);
}
