/**
 * The texts that alignment trains on: market queries, with their oracle context for the teacher, mixed with general text; normalised,
 * and dealt into parts by hash.
 *
 * Dealing by hash mixes the files (logs come sorted by frequency), brings equal texts together so that they are dropped, and needs memory
 * for one part only, however many rows there are.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { normalize } from '../../shared/text.ts';
import type { TeacherText } from '../teacher/input.ts';
import { withContext } from './context.ts';
import { heldOutTexts } from './held-out.ts';
import { allLines } from './json-lines.ts';
import { openPartFiles } from './part-files.ts';
import type { DatasetFolder, QueryRow } from './records.ts';
import { hash32 } from './seeded.ts';

export interface MixOptions {
  readonly seed: number;
  /** Share of general text among all texts, 0 to 1: what keeps the student from forgetting what the market never asks. */
  readonly generalShare: number;
  /** Whether the teacher reads oracle context where there is one. */
  readonly context: boolean;
  /** Share of the contexts whose query may be missing. */
  readonly maxUnmatched: number;
}

/** What is worth saying of a mix. */
export interface Mixed {
  /** Texts left out: they are a validation or test query in some word order. */
  readonly heldOut: number;
  /** Contexts passed over: their query is not among the training queries. */
  readonly unmatched: number;
  /** General texts that there are, and how many the share asks for. */
  readonly general: { readonly available: number; readonly wanted: number };
}

async function* normalized<T extends { readonly text: string }>(rows: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const row of rows) {
    const text = normalize(row.text);
    if (text !== '') yield { ...row, text };
  }
}

/**
 * Training queries, then as much general text as the share asks for. Texts that are a validation or test query, in any
 * word order, are left out; `onMixed` is called at the end.
 */
export async function* mixedTexts(
  dataset: DatasetFolder,
  { seed, generalShare, context, maxUnmatched, onMixed = () => {} }: MixOptions & { onMixed?: (mixed: Mixed) => void },
): AsyncGenerator<TeacherText> {
  const isHeldOut = await heldOutTexts(dataset);
  let [heldOut, unmatched, queries, available] = [0, 0, 0, 0];
  const mayTrain = (text: string) => {
    const held = isHeldOut(text);
    if (held) heldOut++;
    return !held;
  };
  const onUnmatched = (contexts: number) => {
    unmatched = contexts;
  };
  const rows: AsyncIterable<QueryRow & { readonly context?: string }> = context
    ? withContext(dataset.read('queries.train.jsonl'), dataset.read('oracle.train.jsonl'), {
        maxUnmatched,
        onUnmatched,
      })
    : dataset.read('queries.train.jsonl');
  for await (const query of normalized(rows)) {
    if (!mayTrain(query.text)) continue;
    queries++;
    yield { text: query.text, ...(query.context === undefined ? {} : { context: query.context }) };
  }
  const wanted = (queries * generalShare) / (1 - generalShare);
  if (generalShare > 0) {
    const general = () => normalized(dataset.read('text.general.jsonl'));
    for await (const _ of general()) available++;
    const chance = wanted / Math.max(1, available);
    for await (const { text } of general()) {
      if (hash32(`general ${seed} ${text}`) / 2 ** 32 < chance && mayTrain(text)) yield { text };
    }
  }
  onMixed({ heldOut, unmatched, general: { available, wanted: Math.round(wanted) } });
}

/** A part on disk: its number and file, one text per line with its context after a tab, each line once, sorted. */
export interface TextPart {
  readonly index: number;
  readonly path: string;
  readonly rows: number;
}

const lineOf = ({ text, context }: TeacherText): string => (context === undefined ? text : `${text}\t${context}`);

/** Deals texts into `parts` files in `folder`. The same texts give the same files, in whatever order they come. */
export async function dealTexts(
  texts: AsyncIterable<TeacherText>,
  { folder, parts }: { folder: string; parts: number },
): Promise<TextPart[]> {
  await mkdir(folder, { recursive: true });
  const paths = Array.from({ length: parts }, (_, index) => join(folder, `${index}.txt`));
  const files = await openPartFiles(paths);
  for await (const text of texts) await files.write(hash32(text.text) % parts, lineOf(text));
  await files.close();

  const dealt: TextPart[] = [];
  for (const [index, path] of paths.entries()) {
    const unique = [...new Set(await allLines(path))].sort();
    const part = await openPartFiles([path]);
    for (const line of unique) await part.write(0, line);
    await part.close();
    dealt.push({ index, path, rows: unique.length });
  }
  return dealt;
}

/** The texts of a part, in its order. */
export async function readPart({ path }: Pick<TextPart, 'path'>): Promise<TeacherText[]> {
  return (await allLines(path)).map((line) => {
    const [text = '', context] = line.split('\t');
    return context === undefined ? { text } : { text, context };
  });
}
