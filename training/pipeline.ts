/** The recipe as stages that share one context: teacher, targets, student, bundle. The command line picks which of them run. */
import { join } from 'node:path';
import { adText } from '../shared/ad-text.ts';
import { type Manifest, requireSameSpace } from '../shared/bundle.ts';
import { canonicalJson, sha256Hex } from '../shared/digest.ts';
import type { RecipeConfig } from './config.ts';
import { type BadRow, type DatasetFolder, openDataset } from './data/records.ts';
import { seeded, shuffle } from './data/seeded.ts';
import { dealTexts, mixedTexts, readPart, type TextPart } from './data/texts.ts';
import { type EvaluationReport, evaluate } from './evaluate/report.ts';
import { type Aligned, type AlignmentPart, align } from './phases/align.ts';
import { evenlySpaced, layerImportance, mostImportant, prune } from './phases/prune.ts';
import { type Progress, startProgress } from './progress.ts';
import { adsFile, int8Rows, publish, readBundle, spaceOf } from './publish.ts';
import { channelRanges, type EncoderModel, floatModel, int8Model, TextEncoderSession } from './runner/encoder.ts';
import { type Checkpoint, readCheckpoint } from './teacher/checkpoint.ts';
import { resolveTeacher } from './teacher/resolve.ts';
import { VectorStore } from './teacher/targets.ts';
import { TextTokenizer } from './teacher/tokenizer.ts';

/** Fetched checkpoints, teacher vectors and run states; may be deleted at any time, at the price of computing them again. */
export const CACHE = '.cache';
const CALIBRATION_TEXTS = 512;

export interface RecipeContext {
  readonly config: RecipeConfig;
  readonly dataset: DatasetFolder;
  readonly teacher: Checkpoint;
  readonly teacherSource: string;
  readonly say: (line: string) => void;
}

const SHOWN_BAD_ROWS = 5;

/** Opens data and teacher. @throws HarnessError in one line where either is missing. */
export async function openRecipe(config: RecipeConfig, say: (line: string) => void): Promise<RecipeContext> {
  let bad = 0;
  const dataset = openDataset(config.data.folder, {
    maxBadShare: config.data.maxBadShare,
    onBadRow({ file, line, reason }: BadRow) {
      if (++bad <= SHOWN_BAD_ROWS) say(`${file}:${line}: bad row: ${reason}`);
      else if (Number.isInteger(Math.log10(bad))) say(`${bad} bad rows so far`);
    },
  });
  const place = await resolveTeacher(config.teacher, {
    cache: join(CACHE, 'checkpoints'),
    onFile: (path) => say(`fetching ${path} of ${config.teacher}`),
  });
  const teacher = await readCheckpoint(place.folder, place.name);
  return { config, dataset, teacher, teacherSource: place.source, say };
}

/** The teacher's vectors on disk, and the teacher to make what is missing: opened when first needed. */
function openTargets({ teacher, config }: RecipeContext, what: { label: string; total: number; unit: string }) {
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
async function targetsOf(context: RecipeContext, texts: readonly TextPart[]): Promise<AlignmentPart[]> {
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
async function trainingTexts({ config, dataset, say }: RecipeContext): Promise<TextPart[]> {
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

const TRAINING_FILES = [
  'queries.train.jsonl',
  'text.general.jsonl',
  'queries.validation.jsonl',
  'queries.test.jsonl',
] as const;

/** Names what the training texts are made from. */
async function mixKey({ seed, data }: RecipeConfig, dataset: DatasetFolder): Promise<string> {
  const identity = {
    data: await dataset.digest(TRAINING_FILES),
    seed,
    share: String(data.generalShare),
    parts: data.parts,
  };
  return (await sha256Hex(canonicalJson(identity))).slice(0, 16);
}

/** Some training texts, spread over a part, for calibration. */
async function sampleTexts(parts: readonly TextPart[], count: number): Promise<string[]> {
  const texts = count === 0 ? [] : await readPart(parts[0]!);
  return shuffle(texts, seeded('calibration')).slice(0, count);
}

/** The pruned copy of the teacher that training starts from, and which layers it kept. */
async function prunedStudent(
  context: RecipeContext,
  parts: readonly TextPart[],
): Promise<{ student: EncoderModel; keep: readonly number[] }> {
  const { config, teacher, say } = context;
  const { layers, select, maxTokens } = config.student;
  let keep: readonly number[];
  if (select === 'even') keep = evenlySpaced(teacher.config.num_hidden_layers, layers);
  else if (select === 'importance') {
    const importance = await layerImportance(teacher, {
      texts: await sampleTexts(parts, CALIBRATION_TEXTS),
      tokenizer: teacher.tokenizer,
    });
    say(`importance of the layers: ${importance.map((value) => value.toFixed(3)).join(' ')}`);
    keep = mostImportant(importance, layers);
  } else keep = select;
  say(`student keeps layers ${keep.join(', ')} of ${teacher.config.num_hidden_layers}`);
  return { student: prune(teacher, { keep, maxTokens }), keep };
}

export const studentTokenizer = ({ config, teacher }: RecipeContext): TextTokenizer =>
  new TextTokenizer(teacher.tokenizerJson, { maxTokens: config.student.maxTokens, padId: teacher.config.pad_token_id });

/** What alignment leaves for publishing. */
export interface AlignResult extends Aligned {
  readonly texts: readonly TextPart[];
  /** Layers of the teacher that the student started from. */
  readonly keep: readonly number[];
  readonly dataSha256: string;
}

/** Phase 2. Goes on where an earlier run with the same data, teacher and settings stopped. */
export async function alignPhase(context: RecipeContext): Promise<AlignResult> {
  const { config, dataset, teacher, say } = context;
  const texts = await trainingTexts(context);
  const parts = await targetsOf(context, texts);
  const { student, keep } = await prunedStudent(context, texts);
  const { seed, align: settings } = config;
  const identity = {
    teacher: teacher.sha256,
    texts: await mixKey(config, dataset),
    keep,
    seed,
    // As text: canonical JSON is for integers and strings.
    settings: JSON.stringify(settings),
    maxTokens: config.student.maxTokens,
  };
  const folder = join(CACHE, 'runs', (await sha256Hex(canonicalJson(identity))).slice(0, 16));
  say(`state of this run: ${folder}`);
  let progress: ReturnType<typeof startProgress> | undefined;
  let smooth = 0;
  const aligned = await align({
    student,
    tokenizer: studentTokenizer(context),
    parts,
    settings,
    seed,
    folder,
    threads: config.threads,
    onStep(step, { loss, learningRate }) {
      progress ??= startProgress({ label: 'align', total: settings.steps, start: step - 1, unit: 'steps' });
      smooth = smooth === 0 ? loss : 0.95 * smooth + 0.05 * loss;
      progress.update(step, `loss ${smooth.toFixed(4)}  rate ${learningRate.toExponential(1)}`);
    },
  });
  progress?.stop();
  return { ...aligned, texts, keep, dataSha256: await dataset.digest(TRAINING_FILES) };
}

/** Quantises, embeds the catalogue, evaluates and writes the bundle. */
export async function publishPhase(
  context: RecipeContext,
  { student, losses, texts, keep, dataSha256, out }: AlignResult & { out: string },
): Promise<{ manifest: Manifest; report: EvaluationReport }> {
  const { config, dataset, teacher, say } = context;
  const { seed, threads } = config;
  const dimension = teacher.config.hidden_size;
  const tokenizer = studentTokenizer(context);
  const sample = await sampleTexts(texts, config.export.calibrationTexts);
  const ranges = sample.length === 0 ? {} : { ranges: await channelRanges(student, { texts: sample, tokenizer }) };
  const model = int8Model(student, { weightLimit: config.export.weightLimit, ...ranges });

  const ads = await dataset.all('catalogue.jsonl');
  const targets = openTargets(context, { label: 'ad vectors', total: ads.length, unit: 'ads' });
  const adTexts = ads.map((ad) => adText(ad).replaceAll('\n', ' '));
  const vectors = int8Rows(await targets.store.vectorsOf(adTexts, targets), dimension);
  await targets.close();

  const candidate = { model, tokenizer, dimension, vectors, adIds: ads.map(({ id }) => id) };
  const { report, calibration } = await evaluate({
    candidate,
    teacher,
    dataset,
    settings: config.evaluate,
    seed,
    threads,
    onStage: say,
  });
  const manifest = await publish({
    out,
    name: config.name,
    teacher,
    teacherSource: context.teacherSource,
    student,
    model,
    maxTokens: config.student.maxTokens,
    ads: await adsFile(ads, { vectors, spaceId: await spaceOf(teacher) }),
    adCount: ads.length,
    calibration,
    report: { ...report, alignment: { layersKept: keep, losses } },
    // What decides the result; where the data lay does not.
    provenance: {
      config: { ...config, data: { ...config.data, folder: undefined }, teacher: teacher.name },
      dataSha256,
      seed,
    },
  });
  return { manifest, report };
}

/** Measures a published bundle again, against the teacher it was made from. */
export async function evaluatePhase(context: RecipeContext, bundle: string): Promise<EvaluationReport> {
  const { config, dataset, teacher, say } = context;
  const { manifest, candidate } = await readBundle(bundle);
  requireSameSpace(
    { what: `bundle ${manifest.name}`, spaceId: manifest.spaceId },
    { what: `teacher ${teacher.name}`, spaceId: await spaceOf(teacher) },
  );
  const { report } = await evaluate({
    candidate,
    teacher,
    dataset,
    settings: config.evaluate,
    seed: config.seed,
    threads: config.threads,
    onStage: say,
  });
  return report;
}
