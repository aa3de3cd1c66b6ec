/**
 * Opens a published bundle (layout: shared/bundle.ts). Nothing of it is used before every file has the size and the
 * SHA-256 that the manifest promises: a flipped byte in weights would not fail, it would only answer badly.
 */
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type * as z from 'zod';
import { type BundleFile, type Manifest, parseManifest, requireSameSpace } from '../../shared/bundle.ts';
import { AskedTerms, type NewWordsOf, openAskedTerms } from '../../shared/new-words.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { RelevanceMap } from '../../shared/relevance.ts';
import { readSafetensors } from '../../shared/safetensors.ts';
import { openSpelling, SpellingTable } from '../../shared/spelling.ts';
import { int8Rows } from '../index/vector-rows.ts';

/** The teacher's vectors of the bundled catalogue. */
export interface BundleAds {
  ids: string[];
  /** Digest of the text that was embedded, one an ad (shared/ad-text.ts). */
  textDigests: string[];
  /** [ids.length, dimension] int8, row-major. */
  vectors: Int8Array;
  dimension: number;
}

/** Queries that the student was not taught all words of. */
export interface NewWords {
  readonly of: NewWordsOf;
  readonly calibration: RelevanceMap;
}

export interface Bundle {
  dir: string;
  manifest: Manifest;
  /** Absolute or caller-relative paths of the checked files. */
  paths: {
    student: string;
    studentFp16: string | undefined;
    tokenizer: string;
    spelling: string | undefined;
    ads: string;
    report: string;
  };
  /** Reads the ad vectors; throws `bundle_damaged` when the file's parts do not fit each other. */
  readAds(): Promise<BundleAds>;
  /** The teacher's own vectors by normalized query, [dimension] float32 of length one; none where the bundle has none. Throws as {@link readAds}. */
  readHeadQueries(): Promise<ReadonlyMap<string, Float32Array>>;
  /** What tells queries with new words (shared/new-words.ts) and ranks their ads; `undefined` where the bundle has none. Throws as {@link readBundleJson}. */
  readNewWords(): Promise<NewWords | undefined>;
}

const FIX = 'restore the folder (git checkout models) or publish it again with npm run recipe';

/** Bytes of a file read and hashed at a time: a millisecond. */
const PIECE = 1 << 20;

/** In hex, read piece by piece into the same memory: new memory for each has the collector look at the whole heap again and again. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  try {
    let [piece, next] = [Buffer.allocUnsafeSlow(PIECE), Buffer.allocUnsafeSlow(PIECE)];
    let reading = file.read(piece);
    for (;;) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) return hash.digest('hex');
      reading = file.read(next); // while this one is hashed
      hash.update(piece.subarray(0, bytesRead));
      [piece, next] = [next, piece];
    }
  } finally {
    await file.close();
  }
}

/** Throws `bundle_damaged` naming the file unless it has the size and digest expected; `fix` says what to do then. */
export async function verifyFile(path: string, expected: BundleFile, fix: string): Promise<void> {
  const size = await stat(path).then(
    (info) => info.size,
    (cause: unknown) => {
      throw new HarnessError(
        'bundle_damaged',
        `${path}: expected ${expected.bytes} bytes, the file cannot be read; ${fix}.`,
        {
          cause,
        },
      );
    },
  );
  if (size !== expected.bytes) {
    throw new HarnessError('bundle_damaged', `${path}: expected ${expected.bytes} bytes, got ${size}; ${fix}.`);
  }
  const sha256 = await sha256OfFile(path).catch((cause: unknown) => {
    throw new HarnessError('bundle_damaged', `${path}: the file cannot be read to its end; ${fix}.`, { cause });
  });
  if (sha256 !== expected.sha256) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected SHA-256 ${expected.sha256.slice(0, 12)}..., got ${sha256.slice(0, 12)}...; ${fix}.`,
    );
  }
}

/** A file of vectors and texts in the manifest's space. */
async function readTensors(path: string, manifest: Manifest) {
  const { tensors, metadata } = readSafetensors(await readFile(path), path);
  requireSameSpace(
    { what: 'the manifest', spaceId: manifest.spaceId },
    { what: path, spaceId: metadata.spaceId ?? 'none' },
  );
  const lines = (name: string) => {
    const bytes = tensors.get(name)?.data;
    return bytes === undefined || bytes.byteLength === 0 ? [] : new TextDecoder().decode(bytes).split('\n');
  };
  return { vectors: tensors.get('vectors'), lines };
}

async function readAds(path: string, manifest: Manifest): Promise<BundleAds> {
  const { vectors, lines } = await readTensors(path, manifest);
  const [ids, textDigests] = [lines('ids'), lines('textDigests')];
  const [count = 0, dimension = 0] = vectors?.shape ?? [];
  if (
    vectors?.dtype !== 'I8' ||
    dimension !== manifest.dimension ||
    [count, ids.length, textDigests.length].some((n) => n !== manifest.ads.count)
  ) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected I8 vectors [${manifest.ads.count}, ${manifest.dimension}] with as many ids and text digests, got ` +
        `${vectors?.dtype ?? 'none'} [${count}, ${dimension}], ${ids.length} ids, ${textDigests.length} digests; ${FIX}.`,
    );
  }
  const { data } = vectors;
  return { ids, textDigests, vectors: new Int8Array(data.buffer, data.byteOffset, data.byteLength), dimension };
}

async function readHeadQueries(path: string, manifest: Manifest): Promise<ReadonlyMap<string, Float32Array>> {
  const { vectors, lines } = await readTensors(path, manifest);
  const texts = lines('texts');
  const [count = 0, dimension = 0] = vectors?.shape ?? [];
  const expected = manifest.headQueries!.count;
  if (vectors?.dtype !== 'I8' || dimension !== manifest.dimension || count !== expected || texts.length !== expected) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected I8 vectors [${expected}, ${manifest.dimension}] with as many texts, got ` +
        `${vectors?.dtype ?? 'none'} [${count}, ${dimension}] and ${texts.length} texts; ${FIX}.`,
    );
  }
  const { buffer, byteOffset, byteLength } = vectors.data;
  const rows = int8Rows(new Int8Array(buffer as ArrayBuffer, byteOffset, byteLength), dimension);
  return new Map(texts.map((text, row) => [text, rows.unit(row)]));
}

/** A file of JSON as its schema says; throws `bundle_damaged` with what was expected, what came, and the fix. */
export async function readBundleJson<S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S>> {
  const damaged = (reason: string, cause: unknown) =>
    new HarnessError('bundle_damaged', `${path}: ${reason}; ${FIX}.`, { cause });
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw damaged('expected JSON, the file cannot be read', cause);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(`expected JSON, got ${JSON.stringify(text.slice(0, 20))}`, cause);
  }
  const { data, error } = schema.safeParse(value);
  if (error === undefined) return data;
  const { path: field, message } = error.issues[0]!;
  throw damaged(`${field.join('.') || 'all of it'}: ${message}`, error);
}

async function readNewWords(dir: string, { newWords, spelling }: Manifest): Promise<NewWords | undefined> {
  if (newWords === undefined) return undefined;
  const asked = await readBundleJson(join(dir, newWords.file), AskedTerms);
  const correct = spelling && openSpelling(await readBundleJson(join(dir, spelling.file), SpellingTable));
  return { of: openAskedTerms(asked, correct), calibration: newWords.calibration };
}

/** The bytes of a checked file, if they are still the ones that were checked; throws `bundle_damaged` otherwise. */
export async function readVerified(path: string, expected: BundleFile): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new HarnessError('bundle_damaged', `${path}: the file cannot be read; ${FIX}.`, { cause });
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== expected.sha256) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected SHA-256 ${expected.sha256.slice(0, 12)}..., got ${sha256.slice(0, 12)}...; ${FIX}.`,
    );
  }
  return bytes;
}

/** Opens and checks a bundle. Throws `bundle_damaged` naming file and fix, or `configuration` for another normaliser. */
export async function loadBundle(dir: string): Promise<Bundle> {
  const manifestPath = join(dir, 'manifest.json');
  const json = await readFile(manifestPath, 'utf8').catch((cause: unknown) => {
    throw new HarnessError(
      'configuration',
      `${manifestPath}: no bundle there; set HARNESS_BUNDLE to a published folder.`,
      {
        cause,
      },
    );
  });
  const manifest = parseManifest(json, manifestPath);
  const files = {
    student: manifest.student,
    tokenizer: manifest.tokenizer,
    ads: manifest.ads,
    report: manifest.report,
    ...(manifest.studentFp16 === undefined ? {} : { studentFp16: manifest.studentFp16 }),
    ...(manifest.spelling === undefined ? {} : { spelling: manifest.spelling }),
    ...(manifest.headQueries === undefined ? {} : { headQueries: manifest.headQueries }),
    ...(manifest.newWords === undefined ? {} : { newWords: manifest.newWords }),
  };
  await Promise.all(Object.values(files).map((file) => verifyFile(join(dir, file.file), file, FIX)));
  const paths = {
    student: join(dir, files.student.file),
    studentFp16: manifest.studentFp16 && join(dir, manifest.studentFp16.file),
    tokenizer: join(dir, files.tokenizer.file),
    spelling: manifest.spelling && join(dir, manifest.spelling.file),
    ads: join(dir, files.ads.file),
    report: join(dir, files.report.file),
  };
  const { headQueries } = manifest;
  return {
    dir,
    manifest,
    paths,
    readAds: () => readAds(paths.ads, manifest),
    readHeadQueries: async () =>
      headQueries === undefined ? new Map() : readHeadQueries(join(dir, headQueries.file), manifest),
    readNewWords: () => readNewWords(dir, manifest),
  };
}
