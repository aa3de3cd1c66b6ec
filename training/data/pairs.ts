/**
 * Clicked pairs of the log: which ads people chose for a query, and how often. Clicks, queries and offline context are
 * joined by query id: dealt by its hash into files first, so that only one part is in memory at a time, however long
 * the log.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson, sha256Hex } from '../../shared/digest.ts';
import { normalize } from '../../shared/text.ts';
import { heldOutTexts } from './held-out.ts';
import { readLines } from './json-lines.ts';
import { openPartFiles } from './part-files.ts';
import type { DatasetFolder, FileName } from './records.ts';
import { hash32 } from './seeded.ts';
import { writeWhole } from './tensor-file.ts';

/** A query with its clicked ads. */
export interface ClickedQuery {
  /** Normalized. */
  readonly text: string;
  readonly market: string;
  /** Rows of the catalogue, and how attractive each was: clicks an impression. */
  readonly ads: readonly { readonly row: number; readonly weight: number }[];
  /** What is known of the query offline: for the teacher alone. */
  readonly context?: string;
}

/** What was passed over. */
export interface LeftOut {
  /** Queries that are a validation or test query, in whatever word order. */
  readonly heldOut: number;
  /** Clicked ads that the catalogue no longer has. */
  readonly unknownAds: number;
}

export interface PairOptions {
  /** Ids of the catalogue, in the order of its rows. */
  readonly adIds: readonly string[];
  /** Whether queries get their offline context, where the dataset has it. */
  readonly context?: boolean;
}

/** What one row of a file says of a query. */
type Piece =
  | readonly ['ad', queryId: string, row: number, weight: number]
  | readonly ['query', queryId: string, text: string, market: string]
  | readonly ['context', queryId: string, text: string];

async function* pieces(
  dataset: DatasetFolder,
  { adIds, context = false, onLeftOut }: PairOptions & { onLeftOut: (left: LeftOut) => void },
): AsyncGenerator<Piece> {
  const isHeldOut = await heldOutTexts(dataset);
  const rowOf = new Map(adIds.map((id, row) => [id, row]));
  let [heldOut, unknownAds] = [0, 0];
  for await (const { queryId, adId, impressions, clicks } of dataset.read('clicks.train.jsonl')) {
    const row = rowOf.get(adId);
    if (clicks === 0) continue;
    if (row === undefined) unknownAds++;
    else yield ['ad', queryId, row, clicks / Math.max(impressions, clicks)];
  }
  for await (const { id, text: raw, market } of dataset.read('queries.train.jsonl')) {
    const text = normalize(raw);
    if (isHeldOut(text)) heldOut++;
    else if (text !== '') yield ['query', id, text, market];
  }
  if (context)
    for await (const { queryId, text } of dataset.read('oracle.train.jsonl')) yield ['context', queryId, text];
  onLeftOut({ heldOut, unknownAds });
}

/** The queries with a click, in the order in which they came. */
async function joined(all: AsyncIterable<Piece>): Promise<ClickedQuery[]> {
  const ads = new Map<string, ClickedQuery['ads'][number][]>();
  const queries = new Map<string, { text: string; market: string }>();
  const contexts = new Map<string, string>();
  for await (const piece of all) {
    const [kind, id] = piece;
    if (kind === 'ad') {
      const clicked = ads.get(id) ?? [];
      clicked.push({ row: piece[2], weight: piece[3] });
      ads.set(id, clicked);
    } else if (kind === 'query') queries.set(id, { text: piece[2], market: piece[3] });
    else contexts.set(id, piece[2]);
  }
  return [...queries].flatMap(([id, query]) => {
    const clicked = ads.get(id);
    const context = contexts.get(id);
    return clicked ? [{ ...query, ads: clicked, ...(context === undefined ? {} : { context }) }] : [];
  });
}

/** Clicked queries on disk. */
export interface PairPart {
  readonly index: number;
  readonly rows: number;
  /** In the order of the log. */
  read(): Promise<ClickedQuery[]>;
}

/** All clicked queries, in parts. */
export interface DealtPairs {
  readonly parts: readonly PairPart[];
  readonly leftOut: LeftOut;
}

const PAIR_FILES: readonly FileName[] = [
  'clicks.train.jsonl',
  'queries.train.jsonl',
  'queries.validation.jsonl',
  'queries.test.jsonl',
  'oracle.train.jsonl',
];

async function* parsed<T>(path: string): AsyncGenerator<T> {
  for await (const line of readLines(path)) yield JSON.parse(line) as T;
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What `dealPairs` writes when all parts are there. */
interface Dealt {
  readonly rows: readonly number[];
  readonly leftOut: LeftOut;
}

async function deal(
  dataset: DatasetFolder,
  { paths, ...options }: PairOptions & { paths: readonly string[] },
): Promise<Dealt> {
  const unjoined = paths.map((path) => `${path}.unjoined`);
  const files = await openPartFiles(unjoined);
  let leftOut: LeftOut | undefined;
  const onLeftOut = (left: LeftOut) => {
    leftOut = left;
  };
  for await (const piece of pieces(dataset, { ...options, onLeftOut }))
    await files.write(hash32(piece[1]) % paths.length, JSON.stringify(piece));
  await files.close();
  const rows: number[] = [];
  for (const [index, path] of paths.entries()) {
    const queries = await joined(parsed<Piece>(unjoined[index]!));
    const part = await openPartFiles([path]);
    for (const query of queries) await part.write(0, JSON.stringify(query));
    await part.close();
    await rm(unjoined[index]!);
    rows.push(queries.length);
  }
  return { rows, leftOut: leftOut! };
}

/**
 * Deals the clicked queries into `parts` files, in a folder of their own under `folder` that is named by everything that decides what it
 * holds; what an earlier run dealt is taken as it is.
 */
export async function dealPairs(
  dataset: DatasetFolder,
  { folder, parts, adIds, context = false }: PairOptions & { folder: string; parts: number },
): Promise<DealtPairs> {
  const identity = { data: await dataset.digest(PAIR_FILES), ads: await sha256Hex(adIds.join('\n')), parts, context };
  const own = join(folder, (await sha256Hex(canonicalJson(identity))).slice(0, 16));
  const paths = Array.from({ length: parts }, (_, index) => join(own, `${index}.jsonl`));
  const done = join(own, 'dealt.json');
  if (!existsSync(done)) {
    await mkdir(own, { recursive: true });
    await writeWhole(done, JSON.stringify(await deal(dataset, { paths, adIds, context })));
  }
  const { rows, leftOut } = JSON.parse(await readFile(done, 'utf8')) as Dealt;
  return {
    parts: paths.map((path, index) => ({
      index,
      rows: rows[index]!,
      read: () => collected(parsed<ClickedQuery>(path)),
    })),
    leftOut,
  };
}

/** One of a query's ads, by weight. @param random Uniform in [0, 1). */
export function drawAd({ ads }: ClickedQuery, random: () => number): number {
  let point = random() * ads.reduce((sum, { weight }) => sum + weight, 0);
  for (const { row, weight } of ads) {
    point -= weight;
    if (point < 0) return row;
  }
  return ads.at(-1)!.row;
}
