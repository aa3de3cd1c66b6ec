/** The recipe as stages, one after the other; the command line picks which of them run. */
import { join } from 'node:path';
import { adText } from '../shared/ad-text.ts';
import { type Manifest, requireSameSpace } from '../shared/bundle.ts';
import { canonicalJson, sha256Hex } from '../shared/digest.ts';
import { CACHE, type RecipeContext } from './context.ts';
import { clickedQueries } from './data/pairs.ts';
import type { TextPart } from './data/texts.ts';
import { evaluate } from './evaluate/evaluate.ts';
import type { EvaluationReport } from './evaluate/report.ts';
import { align } from './phases/align.ts';
import { mineNegatives } from './phases/negatives.ts';
import { mixKey, openTargets, sampleTexts, TRAINING_FILES, targetsOf, trainingTexts } from './phases/prepare.ts';
import { evenlySpaced, layerImportance, mostImportant, prune } from './phases/prune.ts';
import { refine } from './phases/refine.ts';
import type { LossPoint, Trained } from './phases/train.ts';
import { startProgress } from './progress.ts';
import { adsFile, int8Rows, publish, readBundle, spaceOf } from './publish.ts';
import { channelRanges, type EncoderModel, floatModel, int8Model, TextEncoderSession } from './runner/encoder.ts';
import type { Report } from './runner/step.ts';
import { checkpointTeacher } from './teacher/checkpoint-teacher.ts';
import { TextTokenizer } from './teacher/tokenizer.ts';

const CALIBRATION_TEXTS = 512;

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

/** What training leaves for publishing. */
export interface TrainingResult {
  readonly student: EncoderModel;
  readonly texts: readonly TextPart[];
  /** Layers of the teacher that the student started from. */
  readonly keep: readonly number[];
  /** By phase, in the order in which they ran. */
  readonly losses: { readonly align: readonly LossPoint[]; readonly refine?: readonly LossPoint[] };
  /** Names data, teacher and settings: state of later phases is kept under it. */
  readonly run: string;
}

/** A run's folder under the cache, named by everything that decides what it holds. */
async function runFolder(identity: Record<string, unknown>): Promise<string> {
  return join(CACHE, 'runs', (await sha256Hex(canonicalJson(identity))).slice(0, 16));
}

/** A progress line of a phase: smoothed loss and rate. */
function followTraining(label: string, total: number) {
  let progress: ReturnType<typeof startProgress> | undefined;
  let smooth = 0;
  return {
    onStep(step: number, { loss, learningRate }: Report) {
      progress ??= startProgress({ label, total, start: step - 1, unit: 'steps' });
      smooth = smooth === 0 ? loss : 0.95 * smooth + 0.05 * loss;
      progress.update(step, `loss ${smooth.toFixed(4)}  rate ${learningRate.toExponential(1)}`);
    },
    stop: () => progress?.stop(),
  };
}

/** Phase 2. Goes on where an earlier run with the same data, teacher and settings stopped. */
export async function alignPhase(context: RecipeContext): Promise<TrainingResult> {
  const { config, dataset, teacher, say } = context;
  const texts = await trainingTexts(context);
  const parts = await targetsOf(context, texts);
  const { student, keep } = await prunedStudent(context, texts);
  const { seed, threads, align: settings } = config;
  const folder = await runFolder({
    teacher: teacher.sha256,
    texts: await mixKey(config, dataset),
    keep,
    seed,
    // As text: canonical JSON is for integers and strings.
    settings: JSON.stringify(settings),
    maxTokens: config.student.maxTokens,
  });
  say(`state of this run: ${folder}`);
  const { onStep, stop } = followTraining('align', settings.steps);
  const tokenizer = studentTokenizer(context);
  const aligned = await align({ student, tokenizer, parts, settings, seed, folder, threads, onStep });
  stop();
  return { student: aligned.student, texts, keep, losses: { align: aligned.losses }, run: folder };
}

/** The catalogue, and the teacher's vectors of it, float32 [ads, dimension]. */
async function catalogueVectors(context: RecipeContext) {
  const ads = await context.dataset.all('catalogue.jsonl');
  const targets = openTargets(context, { label: 'ad vectors', total: ads.length, unit: 'ads' });
  const adTexts = ads.map((ad) => adText(ad).replaceAll('\n', ' '));
  const vectors = await targets.store.vectorsOf(adTexts, targets);
  await targets.close();
  return { ads, vectors };
}

/** Phase 3, where the settings ask for it. Goes on where an earlier run stopped. */
export async function refinePhase(context: RecipeContext, before: TrainingResult): Promise<TrainingResult> {
  const { config, dataset, teacher, say } = context;
  const { seed, threads, refine: settings } = config;
  if (settings.steps === 0) return before;
  const dimension = teacher.config.hidden_size;
  const tokenizer = studentTokenizer(context);
  const { ads, vectors } = await catalogueVectors(context);
  const queries = await clickedQueries(
    dataset,
    ads.map(({ id }) => id),
  );

  say(`mining hard negatives for ${queries.length} clicked queries`);
  const session = await TextEncoderSession.open(floatModel(before.student), { tokenizer, dimension, threads });
  const own = await session.encode(queries.map(({ text }) => text));
  await session.close();
  const markets = ads.map((ad) => new Set(ad.markets));
  const { negatives, skipped } = await mineNegatives({
    queries,
    vectors: own,
    ads: vectors,
    dimension,
    booked: (row, market) => markets[row]!.has(market),
    ...settings.negatives,
  });
  say(`passed over ${skipped.clicked} clicked ads and ${skipped.aboveCap} above the cap`);

  const folder = await runFolder({
    before: before.run,
    data: await dataset.digest(['catalogue.jsonl', 'clicks.train.jsonl', 'queries.train.jsonl']),
    settings: JSON.stringify(settings),
  });
  say(`state of this run: ${folder}`);
  const { onStep, stop } = followTraining('refine', settings.steps);
  const { student } = before;
  const refined: Trained = await refine({
    student,
    tokenizer,
    queries,
    negatives,
    ads: vectors,
    settings,
    seed,
    folder,
    threads,
    onStep,
  });
  stop();
  return { ...before, student: refined.student, losses: { ...before.losses, refine: refined.losses }, run: folder };
}

/** The whole recipe up to the student. */
export const trainStudent = async (context: RecipeContext): Promise<TrainingResult> =>
  refinePhase(context, await alignPhase(context));

/** Quantises, embeds the catalogue, evaluates and writes the bundle. */
export async function publishPhase(
  context: RecipeContext,
  { student, losses, texts, keep, out }: TrainingResult & { out: string },
): Promise<{ manifest: Manifest; report: EvaluationReport }> {
  const { config, dataset, teacher, say } = context;
  const { seed, threads } = config;
  const dimension = teacher.config.hidden_size;
  const tokenizer = studentTokenizer(context);
  const sample = await sampleTexts(texts, config.export.calibrationTexts);
  const ranges = sample.length === 0 ? {} : { ranges: await channelRanges(student, { texts: sample, tokenizer }) };
  const model = int8Model(student, { weightLimit: config.export.weightLimit, ...ranges });

  const { ads, vectors: exact } = await catalogueVectors(context);
  const vectors = int8Rows(exact, dimension);

  const candidate = { model, tokenizer, dimension, vectors, adIds: ads.map(({ id }) => id) };
  const { report, calibration } = await evaluate({
    candidate,
    teacher: checkpointTeacher(teacher, { threads: config.threads }),
    teacherReadsContext: false,
    local: teacher,
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
    report: { ...report, training: { layersKept: keep, losses } },
    // What decides the result; where the data lay does not.
    provenance: {
      config: { ...config, data: { ...config.data, folder: undefined }, teacher: teacher.name },
      dataSha256: await dataset.digest([...TRAINING_FILES, 'catalogue.jsonl', 'clicks.train.jsonl']),
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
    teacher: checkpointTeacher(teacher, { threads: config.threads }),
    teacherReadsContext: false,
    local: teacher,
    dataset,
    settings: config.evaluate,
    seed: config.seed,
    threads: config.threads,
    onStage: say,
  });
  return report;
}
