/** Publishing: the bundle folder that serving loads. It is written beside its place, checked by digest, and renamed when complete. */

import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { adTextDigest } from '../shared/ad-text.ts';
import {
  type BundleFile,
  MANIFEST_VERSION,
  Manifest,
  parseManifest,
  requireSameSpace,
  spaceIdOf,
} from '../shared/bundle.ts';
import type { Ad } from '../shared/contract/ads.ts';
import type { CosineAdapter } from '../shared/cosine-adapter.ts';
import { sha256Hex } from '../shared/digest.ts';
import type { AskedTerms } from '../shared/new-words.ts';
import { HarnessError } from '../shared/problem.ts';
import type { RelevanceMap } from '../shared/relevance.ts';
import { readSafetensors, writeSafetensors } from '../shared/safetensors.ts';
import { openSpelling, SpellingTable } from '../shared/spelling.ts';
import { NORMALIZER_VERSION } from '../shared/text.ts';
import { lossCurves, type QualityPoint, qualityCurve } from './curves.ts';
import { toStored } from './data/tensor-file.ts';
import type { Candidate } from './evaluate/evaluate.ts';
import { PublishedTeacher } from './evaluate/published-teacher.ts';
import type { EvaluationReport } from './evaluate/report.ts';
import { modelCard } from './model-card.ts';
import { quantizeMatrix } from './onnx/quantize.ts';
import type { LossPoint } from './phases/train.ts';
import type { EncoderModel } from './runner/encoder.ts';
import type { Checkpoint } from './teacher/checkpoint.ts';
import type { Teacher } from './teacher/teacher.ts';
import { TextTokenizer, type TokenizerOptions } from './teacher/tokenizer.ts';

/** Names the space that a teacher's vectors live in. */
export const spaceOf = ({ teacher, checkpoint, projection }: SpaceOptions): Promise<string> =>
  spaceIdOf({
    teacherSha256: teacher.sha256,
    projection,
    dimension: teacher.dimension,
    normalizerVersion: NORMALIZER_VERSION,
    queryPrompt: checkpoint?.queryPrompt ?? '',
  });

export interface SpaceOptions {
  readonly teacher: Teacher;
  /** The teacher's own model, where it runs here. */
  readonly checkpoint?: Pick<Checkpoint, 'queryPrompt'>;
  /** Digest of the map between what the teacher gives and the space, or 'none'. */
  readonly projection: string;
}

/** Vectors in int8, one scale a row that cosine ignores. */
export const int8Rows = (vectors: Float32Array, dimension: number): Int8Array<ArrayBuffer> =>
  quantizeMatrix(vectors, [vectors.length / dimension, dimension], { along: 'rows' }).values;

function lines(items: readonly string[]) {
  const data = new TextEncoder().encode(items.join('\n'));
  return toStored({ dtype: 'uint8', shape: [data.length], data });
}

/** The bytes of `ads.safetensors`. */
export async function adsFile(
  ads: readonly Ad[],
  { vectors, spaceId }: { vectors: Int8Array; spaceId: string },
): Promise<Uint8Array<ArrayBuffer>> {
  const digests = await Promise.all(ads.map(adTextDigest));
  return writeSafetensors({
    tensors: new Map([
      ['vectors', toStored({ dtype: 'int8', shape: [ads.length, vectors.length / ads.length], data: vectors })],
      ['ids', lines(ads.map(({ id }) => id))],
      ['textDigests', lines(digests)],
    ]),
    metadata: { spaceId },
  });
}

/** The bytes of `head-queries.safetensors`; `vectors` are [texts, dimension] int8. */
export const headQueriesFile = (
  texts: readonly string[],
  { vectors, spaceId }: { vectors: Int8Array; spaceId: string },
): Uint8Array<ArrayBuffer> =>
  writeSafetensors({
    tensors: new Map([
      ['vectors', toStored({ dtype: 'int8', shape: [texts.length, vectors.length / texts.length], data: vectors })],
      ['texts', lines(texts)],
    ]),
    metadata: { spaceId },
  });

export interface PublishOptions {
  /** The bundle folder; what is there is replaced. */
  readonly out: string;
  readonly name: string;
  readonly teacher: Teacher;
  readonly spaceId: string;
  readonly student: EncoderModel;
  /** The int8 graph. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** The fp16 graph, where it is asked for. */
  readonly halfModel?: Uint8Array<ArrayBuffer>;
  readonly tokenizerJson: string;
  /** What the student's queries are spelled by, where they are. */
  readonly spelling: SpellingTable | undefined;
  readonly maxTokens: number;
  readonly ads: Uint8Array<ArrayBuffer>;
  readonly adCount: number;
  /** Queries with the teacher's own vectors, where there are any. */
  readonly headQueries?: { readonly file: Uint8Array<ArrayBuffer>; readonly count: number };
  readonly calibration: RelevanceMap;
  readonly cosineAdapter: CosineAdapter;
  /** What tells queries with new words, and their relevance map. */
  readonly newWords: { readonly asked: AskedTerms; readonly calibration: RelevanceMap };
  readonly report: EvaluationReport & Readonly<Record<string, unknown>>;
  readonly teacherMeasures: PublishedTeacher;
  /** By phase, for the curves. */
  readonly losses: Readonly<Record<string, readonly LossPoint[]>>;
  readonly provenance: Manifest['provenance'];
}

/** Validation quality by step of each phase that measured it. */
const qualityPoints = (losses: PublishOptions['losses']): QualityPoint[] =>
  Object.entries(losses).flatMap(([series, points]) =>
    points.flatMap(({ step, quality = {} }) =>
      Object.entries(quality).map(([metric, value]) => ({ step, metric, series, value })),
    ),
  );

/** `manifest.json`, its fields in the schema's order. */
export const manifestJson = (manifest: Manifest): string => `${JSON.stringify(Manifest.parse(manifest), null, 2)}\n`;

/** Writes the bundle, with its model card and curves, and returns its manifest. */
export async function publish(options: PublishOptions): Promise<Manifest> {
  const { teacher, student } = options;
  const out = resolve(options.out); // also of a folder that is named with a slash at its end
  const partial = `${out}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const put = async (file: string, content: Uint8Array<ArrayBuffer> | string): Promise<BundleFile> => {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    await writeFile(join(partial, file), bytes);
    return { file, sha256: await sha256Hex(bytes), bytes: bytes.byteLength };
  };
  let parameters = 0;
  for (const { data } of student.weights.values()) parameters += data.length;
  const manifest: Manifest = {
    manifestVersion: MANIFEST_VERSION,
    name: options.name,
    spaceId: options.spaceId,
    dimension: teacher.dimension,
    normalizerVersion: NORMALIZER_VERSION,
    maxTokens: options.maxTokens,
    student: {
      ...(await put('student.onnx', options.model)),
      precision: 'int8',
      layers: student.config.num_hidden_layers,
      hidden: student.config.hidden_size,
      parameters,
    },
    ...(options.halfModel ? { studentFp16: await put('student.fp16.onnx', options.halfModel) } : {}),
    tokenizer: await put('tokenizer.json', options.tokenizerJson),
    ...(options.spelling
      ? { spelling: await put('spelling.json', `${JSON.stringify(options.spelling, null, 2)}\n`) }
      : {}),
    ads: { ...(await put('ads.safetensors', options.ads)), count: options.adCount },
    ...(options.headQueries
      ? {
          headQueries: {
            ...(await put('head-queries.safetensors', options.headQueries.file)),
            count: options.headQueries.count,
          },
        }
      : {}),
    report: await put('report.json', `${JSON.stringify(options.report, null, 2)}\n`),
    teacherMeasures: await put('teacher.json', `${JSON.stringify(options.teacherMeasures)}\n`),
    calibration: options.calibration,
    cosineAdapter: options.cosineAdapter,
    newWords: {
      ...(await put('asked-terms.json', `${JSON.stringify(options.newWords.asked, null, 2)}\n`)),
      calibration: options.newWords.calibration,
    },
    teacher: { name: teacher.name, sha256: teacher.sha256, license: teacher.license, source: teacher.source },
    license: teacher.license,
    provenance: options.provenance,
  };
  await put('manifest.json', manifestJson(manifest));
  await put('README.md', modelCard({ manifest, report: options.report }));
  await put('losses.svg', lossCurves(options.losses));
  const points = qualityPoints(options.losses);
  if (points.length > 0) await put('quality.svg', qualityCurve(points));
  // A folder cannot be renamed over another: the old one steps aside first and is put back if the new one cannot take its place.
  const old = `${out}.old`;
  await rm(old, { recursive: true, force: true });
  if (existsSync(out)) await rename(out, old);
  try {
    await rename(partial, out);
  } catch (error) {
    if (existsSync(old)) await rename(old, out);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
  return manifest;
}

/** How a student reads queries: its tokenizer, with the spelling of a table where there is one. */
export function readerOf(
  tokenizerJson: string,
  { table, ...options }: Omit<TokenizerOptions, 'spelling'> & { table: SpellingTable | undefined },
): Pick<Candidate, 'tokenizer' | 'spelling'> {
  const asTyped = new TextTokenizer(tokenizerJson, options);
  if (table === undefined) return { tokenizer: asTyped };
  const correct = openSpelling(table);
  const tokenizer = new TextTokenizer(tokenizerJson, { ...options, spelling: correct });
  return { tokenizer, spelling: { correct, asTyped } };
}

/** Reads a published bundle for evaluation. @throws HarnessError naming the file that is missing or altered. */
export async function readBundle(folder: string): Promise<{
  manifest: Manifest;
  candidate: Candidate;
  tokenizerJson: string;
  report: EvaluationReport;
  /** Absent in bundles that were published without. */
  teacherMeasures?: PublishedTeacher;
}> {
  const read = async (file: string): Promise<Uint8Array<ArrayBuffer>> => {
    try {
      return Uint8Array.from(await readFile(join(folder, file)));
    } catch (cause) {
      throw new HarnessError('not_found', `${folder}: expected a bundle with ${file}; npm run recipe publishes one.`, {
        cause,
      });
    }
  };
  const checked = async ({ file, sha256 }: BundleFile) => {
    const bytes = await read(file);
    const found = await sha256Hex(bytes);
    if (found !== sha256)
      throw new HarnessError(
        'bundle_damaged',
        `${join(folder, file)}: expected SHA-256 ${sha256}, found ${found}; publish the bundle again.`,
      );
    return bytes;
  };
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const manifest = parseManifest(text(await read('manifest.json')), join(folder, 'manifest.json'));
  const { tensors, metadata } = readSafetensors(await checked(manifest.ads), manifest.ads.file);
  requireSameSpace(
    { what: 'the student', spaceId: manifest.spaceId },
    { what: manifest.ads.file, spaceId: metadata.spaceId ?? 'none' },
  );
  const vectors = tensors.get('vectors')!.data;
  const tokenizerJson = text(await checked(manifest.tokenizer));
  const table = manifest.spelling && SpellingTable.parse(JSON.parse(text(await checked(manifest.spelling))));
  const candidate: Candidate = {
    model: await checked(manifest.student),
    ...readerOf(tokenizerJson, { maxTokens: manifest.maxTokens, padId: 0, table }),
    dimension: manifest.dimension,
    vectors: new Int8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength),
    adIds: text(tensors.get('ids')!.data).split('\n'),
  };
  const report = JSON.parse(text(await checked(manifest.report))) as EvaluationReport;
  if (!manifest.teacherMeasures) return { manifest, candidate, tokenizerJson, report };
  const teacherMeasures = PublishedTeacher.parse(JSON.parse(text(await checked(manifest.teacherMeasures))));
  return { manifest, candidate, tokenizerJson, report, teacherMeasures };
}
