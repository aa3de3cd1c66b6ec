/**
 * The texts that alignment trains on: market queries, with their oracle context for the teacher, mixed with general text; normalised,
 * and dealt into parts by hash.
 *
 * Dealing by hash mixes the files (logs come sorted by frequency), brings equal texts together so that they are dropped, and needs memory
 * for one part only, however many rows there are.
 */
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { normalize } from '../../shared/text.ts';
import type { TeacherText } from '../teacher/input.ts';
import { withContext } from './context.ts';
import type { DatasetFolder, FileName } from './records.ts';
import { hash32 } from './seeded.ts';

export interface MixOptions {
  readonly seed: number;
  /** Share of general text among all texts, 0 to 1: what keeps the student from forgetting what the market never asks. */
  readonly generalShare: number;
  /** Whether the teacher reads oracle context where there is one. */
  readonly context: boolean;
}

type TextFile = Extract<FileName, `queries.${string}` | 'text.general.jsonl'>;

async function* normalized<T extends { readonly text: string }>(rows: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const row of rows) {
    const text = normalize(row.text);
    if (text !== '') yield { ...row, text };
  }
}

async function* normalizedTexts(dataset: DatasetFolder, file: TextFile): AsyncGenerator<string> {
  for await (const { text } of normalized(dataset.read(file) as AsyncIterable<{ text: string }>)) yield text;
}

/** The training queries, with context where it is asked for and the dataset has it. */
function trainingQueries(dataset: DatasetFolder, context: boolean): AsyncIterable<TeacherText> {
  const queries = dataset.read('queries.train.jsonl');
  return context ? withContext(queries, dataset.read('oracle.train.jsonl')) : queries;
}

/** One key for all word orders of a text. */
const orderless = (text: string): string => text.split(' ').sort().join(' ');

/**
 * Training queries, then as much general text as the share asks for. Texts that are a validation or test query, in any word order, are
 * left out; `onHeldOut` is told how many.
 */
export async function* mixedTexts(
  dataset: DatasetFolder,
  { seed, generalShare, context, onHeldOut = () => {} }: MixOptions & { onHeldOut?: (texts: number) => void },
): AsyncGenerator<TeacherText> {
  const heldOut = new Set<string>();
  for (const file of ['queries.validation.jsonl', 'queries.test.jsonl'] as const) {
    for await (const text of normalizedTexts(dataset, file)) heldOut.add(orderless(text));
  }
  let left = 0;
  const mayTrain = (text: string) => {
    const held = heldOut.has(orderless(text));
    if (held) left++;
    return !held;
  };
  let queries = 0;
  for await (const query of normalized(trainingQueries(dataset, context))) {
    if (!mayTrain(query.text)) continue;
    queries++;
    yield { text: query.text, ...(query.context === undefined ? {} : { context: query.context }) };
  }
  if (generalShare > 0) {
    let available = 0;
    for await (const _ of normalizedTexts(dataset, 'text.general.jsonl')) available++;
    const chance = (queries * generalShare) / (1 - generalShare) / Math.max(1, available);
    for await (const text of normalizedTexts(dataset, 'text.general.jsonl')) {
      if (hash32(`general ${seed} ${text}`) / 2 ** 32 < chance && mayTrain(text)) yield { text };
    }
  }
  onHeldOut(left);
}

/** A part on disk: its number and file, one text a line with its context behind a tab, each line once, sorted. */
export interface TextPart {
  readonly index: number;
  readonly path: string;
  readonly rows: number;
}

const FLUSH_AT = 1 << 16;
const lineOf = ({ text, context }: TeacherText): string => (context === undefined ? text : `${text}\t${context}`);

/** Deals texts into `parts` files in `folder`. The same texts give the same files, in whatever order they come. */
export async function dealTexts(
  texts: AsyncIterable<TeacherText>,
  { folder, parts }: { folder: string; parts: number },
): Promise<TextPart[]> {
  await mkdir(folder, { recursive: true });
  const paths = Array.from({ length: parts }, (_, index) => join(folder, `${index}.txt`));
  const files = await Promise.all(paths.map((path) => open(path, 'w')));
  const pending = paths.map(() => '');
  const flush = async (index: number) => {
    await files[index]!.write(pending[index]!);
    pending[index] = '';
  };
  for await (const text of texts) {
    const index = hash32(text.text) % parts;
    pending[index] += `${lineOf(text)}\n`;
    if (pending[index]!.length > FLUSH_AT) await flush(index);
  }
  for (const index of paths.keys()) await flush(index);
  await Promise.all(files.map((file) => file.close()));

  const dealt: TextPart[] = [];
  for (const [index, path] of paths.entries()) {
    const unique = [...new Set(await readLines(path))].sort();
    const file = await open(path, 'w');
    await file.writeFile(unique.map((line) => `${line}\n`).join(''));
    await file.close();
    dealt.push({ index, path, rows: unique.length });
  }
  return dealt;
}

async function readLines(path: string): Promise<string[]> {
  const content = await readFile(path, 'utf8');
  return content === '' ? [] : content.slice(0, -1).split('\n');
}

export async function readPart({ path }: Pick<TextPart, 'path'>): Promise<TeacherText[]> {
  return (await readLines(path)).map((line) => {
    const [text = '', context] = line.split('\t');
    return context === undefined ? { text } : { text, context };
  });
}
