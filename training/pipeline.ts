/** The recipe as stages, one after the other; the command line picks which of them run. */
import { join } from 'node:path';
import { adText } from '../shared/ad-text.ts';
import { type Manifest, requireSameSpace } from '../shared/bundle.ts';
import { canonicalJson, sha256Hex } from '../shared/digest.ts';
import { CACHE, type RecipeContext } from './context.ts';
import type { TextPart } from './data/texts.ts';
import { type EvaluationReport, evaluate } from './evaluate/report.ts';
import { type Aligned, align } from './phases/align.ts';
import { mixKey, openTargets, sampleTexts, TRAINING_FILES, targetsOf, trainingTexts } from './phases/prepare.ts';
import { evenlySpaced, layerImportance, mostImportant, prune } from './phases/prune.ts';
import { startProgress } from './progress.ts';
import { adsFile, int8Rows, publish, readBundle, spaceOf } from './publish.ts';
import { channelRanges, type EncoderModel, int8Model } from './runner/encoder.ts';
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
