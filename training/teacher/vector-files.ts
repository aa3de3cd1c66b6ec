/**
 * Vectors on disk as a teacher: a folder of matrices (`NAME.npy` or `NAME.safetensors`), each with the texts of its rows beside it
 * (`NAME.jsonl` of {"text": ...}, or `NAME.txt`, one a line) or, in safetensors, within. Texts are looked up as the recipe asks for them:
 * queries normalized. `queries*` answers for queries only, `documents*` for documents only, every other name for both.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { sha256Hex } from '../../shared/digest.ts';
import { HarnessError } from '../../shared/problem.ts';
import { readJsonLines, readLines } from '../data/json-lines.ts';
import { normalizeRows, type Role, type Teacher } from './teacher.ts';
import { TextRows } from './text-rows.ts';
import { openMatrix, type VectorMatrix } from './vector-matrix.ts';

/** A teacher that can say what it lacks. */
export interface VectorFileTeacher extends Teacher {
  /** Those of the texts that have no vector, each once, in their order: for asking up front. */
  missing(texts: Iterable<string>, role: Role): string[];
}

interface Entry {
  readonly matrix: VectorMatrix;
  readonly rows: TextRows;
  /** The side it answers for; both where undefined. */
  readonly only: Role | undefined;
  readonly digests: readonly string[];
}

/** Bytes of a text that an error quotes. */
const QUOTED = 60;

/** Opens a folder of vectors. @throws HarnessError in one line: no such folder, texts and rows that differ in number, dimensions that differ, a damaged file. */
export async function vectorFileTeacher(folder: string, { license = 'unknown' } = {}): Promise<VectorFileTeacher> {
  const files = existsSync(folder) ? (await readdir(folder)).sort() : [];
  const matrices = files.filter((file) => /\.(npy|safetensors)$/.test(file));
  if (matrices.length === 0)
    throw new HarnessError(
      'not_found',
      `${folder}: expected a folder with vectors as .npy or .safetensors and their texts beside, found none.`,
    );
  const entries: Entry[] = [];
  const close = async () => {
    for (const { matrix } of entries) await matrix.close();
  };
  try {
    for (const file of matrices) entries.push(await openEntry(folder, file, files));
    const { dimension, path } = entries[0]!.matrix;
    const other = entries.find(({ matrix }) => matrix.dimension !== dimension)?.matrix;
    if (other)
      throw new HarnessError(
        'space_mismatch',
        `${other.path}: expected vectors of ${dimension} dimensions as in ${path}, found ${other.dimension}.`,
      );
    const name = basename(resolve(folder));
    return {
      name,
      sha256: await sha256Hex(entries.flatMap(({ only = 'both', digests }) => [only, ...digests]).join('\n')),
      dimension,
      license,
      source: `vectors in ${name}`,
      missing: (texts, role) => [...new Set(texts)].filter((text) => find(entries, text, role) === undefined),
      encode: (texts, options) => lookUp({ entries, texts, folder, ...options }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openEntry(folder: string, file: string, files: readonly string[]): Promise<Entry> {
  const stem = basename(file, extname(file));
  const beside = [`${stem}.jsonl`, `${stem}.txt`].find((name) => files.includes(name));
  const matrix = await openMatrix(join(folder, file));
  try {
    const rows = new TextRows(matrix.rows);
    let count = 0;
    for await (const text of textsOf(matrix, beside && join(folder, beside))) {
      if (count < matrix.rows) rows.add(text, count);
      count++;
    }
    if (count !== matrix.rows)
      throw new HarnessError(
        'bundle_damaged',
        `${matrix.path}: expected a text for each of its ${matrix.rows} rows, found ${count}.`,
      );
    const only = (['query', 'document'] as const).find((role) =>
      stem.startsWith(role === 'query' ? 'queries' : 'documents'),
    );
    const paths = beside ? [matrix.path, join(folder, beside)] : [matrix.path];
    return { matrix, rows, only, digests: await Promise.all(paths.map(fileDigest)) };
  } catch (error) {
    await matrix.close();
    throw error;
  }
}

/** The texts of a matrix, in the order of its rows. */
async function* textsOf(matrix: VectorMatrix, beside: string | undefined): AsyncGenerator<string> {
  if (!beside) {
    if (!matrix.texts)
      throw new HarnessError(
        'not_found',
        `${matrix.path}: expected its texts beside it, in a .jsonl of {"text": ...} or a .txt of lines, found neither.`,
      );
    yield* matrix.texts;
  } else if (beside.endsWith('.txt')) {
    for await (const line of readLines(beside)) yield line.replace(/\r$/, '');
  } else {
    for await (const row of readJsonLines(beside)) {
      const text = 'value' in row ? row.value.text : undefined;
      // A row that is left out would shift all that follow.
      if (typeof text !== 'string')
        throw new HarnessError('bad_request', `${beside}:${row.line}: expected {"text": ...}, found something else.`);
      yield text;
    }
  }
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Where a text's vector lies: the entry, and the row in it. */
function find(entries: readonly Entry[], text: string, role: Role): { entry: number; row: number } | undefined {
  for (const [entry, { rows, only }] of entries.entries()) {
    const row = only === undefined || only === role ? rows.get(text) : undefined;
    if (row !== undefined) return { entry, row };
  }
  return undefined;
}

interface LookUp {
  readonly entries: readonly Entry[];
  readonly texts: readonly string[];
  readonly folder: string;
  readonly role: Role;
  readonly onProgress?: (done: number) => void;
}

async function lookUp({
  entries,
  texts,
  folder,
  role,
  onProgress = () => {},
}: LookUp): Promise<Float32Array<ArrayBuffer>> {
  const { dimension } = entries[0]!.matrix;
  const places = texts.map((text) => find(entries, text, role));
  const quote = (text: string) => `'${text.replaceAll(/\s+/g, ' ').slice(0, QUOTED)}'`;
  const absent = places.filter((place) => place === undefined).length;
  if (absent > 0)
    throw new HarnessError(
      'not_found',
      `vectors in ${folder}: expected one for each ${role}, found none for ${quote(texts[places.indexOf(undefined)]!)}, nor for ${absent - 1} more of ${texts.length}.`,
    );
  const vectors = new Float32Array(texts.length * dimension);
  let done = 0;
  for (const [index, { matrix }] of entries.entries()) {
    const members = [...places.keys()].filter((i) => places[i]!.entry === index);
    const found = await matrix.read(members.map((i) => places[i]!.row));
    members.forEach((i, at) => {
      const vector = found.subarray(at * dimension, (at + 1) * dimension);
      if (!vector.every(Number.isFinite) || vector.every((value) => value === 0))
        throw new HarnessError(
          'bundle_damaged',
          `${matrix.path}: expected a direction of finite numbers in row ${places[i]!.row} (${quote(texts[i]!)}), found none.`,
        );
      vectors.set(vector, i * dimension);
    });
    done += members.length;
    onProgress(done);
  }
  return normalizeRows(vectors, dimension);
}
