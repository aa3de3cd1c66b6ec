/** The last stage: the student quantised, the catalogue's vectors, the evaluation, and all of it as a bundle. */
import type { Manifest } from '../../shared/bundle.ts';
import type { RecipeContext } from '../context.ts';
import { askedTerms } from '../data/asked-terms.ts';
import { spellingTable } from '../data/spelling-table.ts';
import { evaluate } from '../evaluate/evaluate.ts';
import { describeShape } from '../evaluate/published-teacher.ts';
import type { EvaluationReport } from '../evaluate/report.ts';
import { embeddingWidth } from '../nn/encoder.ts';
import { sampleTexts, TRAINING_FILES } from '../phases/prepare.ts';
import type { LossPoint } from '../phases/train.ts';
import { adsFile, int8Rows, publish, readerOf, spaceOf } from '../publish.ts';
import { channelRanges, halfModel, int8Model } from '../runner/encoder.ts';
import { shownUrl } from '../teacher/endpoint-request.ts';
import { catalogueVectors } from './catalogue.ts';
import { headQueries } from './head-queries.ts';
import type { TrainedStudent } from './train-student.ts';

export interface Published {
  readonly manifest: Manifest;
  readonly report: EvaluationReport;
}

/** @param out The bundle folder; what is there is replaced. */
export async function exportBundle(
  context: RecipeContext,
  { trained, out }: { trained: TrainedStudent; out: string },
): Promise<Published> {
  const { config, dataset, say } = context;
  const { seed, threads } = config;
  const { taught, initial, aligned, refined, floors } = trained;
  const { student } = refined;
  const { tokenizer, tokenizerJson } = initial;
  const table = config.export.spelling ? await spellingTable(dataset) : undefined;
  const padId = initial.model.config.pad_token_id ?? 0;
  const reader = readerOf(tokenizerJson, { maxTokens: tokenizer.maxTokens, padId, table });
  const dimension = embeddingWidth(student);
  const sample = await sampleTexts(aligned.texts, config.export.calibrationTexts);
  const ranges = sample.length === 0 ? {} : { ranges: await channelRanges(student, { texts: sample, tokenizer }) };
  const model = int8Model(student, { weightLimit: config.export.weightLimit, ...ranges });

  const { ads, vectors: exact } = await catalogueVectors(context, taught.teacher);
  const vectors = int8Rows(exact, dimension);
  const {
    report,
    maps,
    described: measures,
  } = await evaluate({
    candidate: { ...reader, model, dimension, vectors, adIds: ads.map(({ id }) => id) },
    teacher: taught.teacher,
    teacherReadsContext: config.teacher.context,
    ...(taught.checkpoint ? { local: taught.checkpoint } : {}),
    floors: Object.fromEntries(Object.entries(floors).map(([name, { encode }]) => [name, encode])),
    dataset,
    settings: config.evaluate,
    seed,
    threads,
    onStage: say,
  });
  const spaceId = await spaceOf(taught);
  // Clicks that an earlier run dealt were not read by this one: their bad rows count all the same.
  for await (const _ of dataset.read('clicks.train.jsonl'));
  const manifest = await publish({
    out,
    name: config.name,
    teacher: taught.teacher,
    spaceId,
    student,
    model,
    ...(config.export.fp16 ? { halfModel: halfModel(student) } : {}),
    tokenizerJson,
    spelling: table,
    maxTokens: config.student.maxTokens,
    ads: await adsFile(ads, { vectors, spaceId }),
    adCount: ads.length,
    ...(await headQueries(context, { teacher: taught.teacher, spaceId })),
    calibration: maps.calibration,
    cosineAdapter: maps.cosineAdapter,
    newWords: { asked: await askedTerms(dataset), calibration: maps.newWordsCalibration },
    teacherMeasures: {
      ...measures,
      // Its speed is measured with the bundle's tokenizer.
      ...(taught.checkpoint?.tokenizerJson === tokenizerJson ? { shape: describeShape(taught.checkpoint) } : {}),
    },
    losses: lossesOf(trained),
    report: {
      ...report,
      badRows: dataset.badRows(),
      training: { stages: aligned.stages, losses: lossesOf(trained) },
    },
    provenance: {
      config: described(config),
      dataSha256: await dataset.digest([...TRAINING_FILES, 'catalogue.jsonl', 'clicks.train.jsonl']),
      seed,
    },
  });
  return { manifest, report };
}

/** By phase, in the order in which they ran. */
function lossesOf({ taught, aligned, refined, floors }: TrainedStudent): Record<string, readonly LossPoint[]> {
  return {
    teach: taught.losses,
    align: aligned.losses,
    refine: refined.losses,
    ...Object.fromEntries(refined.hardening.map((losses, i) => [`harden ${i + 1}`, losses])),
    ...Object.fromEntries(Object.entries(floors).map(([name, { losses }]) => [name, losses.refine])),
  };
}

/** What decides the result; where data and teacher lay on this machine does not. */
function described({ data, teacher, student, ...config }: RecipeContext['config']): Record<string, unknown> {
  const { folder: _, sources, ...rest } = data;
  const files = Object.entries(sources ?? {}).map(([record, source]) => [
    record,
    { ...source, files: [source?.files ?? []].flat().map(nameOf) },
  ]);
  return {
    ...config,
    data: { ...rest, ...(sources ? { sources: Object.fromEntries(files) } : {}) },
    teacher: { ...teacher, from: placeless(teacher.from) },
    student: { ...student, from: placeless(student.from) },
  };
}

const nameOf = (path: string): string => path.split(/[\\/]/).at(-1)!;

/** Where something comes from, with names instead of paths, and an address without a password. */
function placeless(from: RecipeContext['config']['teacher' | 'student']['from']): unknown {
  if (typeof from === 'string') return nameOf(from);
  if ('endpoint' in from) return { endpoint: { ...from.endpoint, url: shownUrl(new URL(from.endpoint.url)) } };
  return Object.fromEntries(
    Object.entries(from).map(([key, value]) => [key, typeof value === 'string' ? nameOf(value) : value]),
  );
}
