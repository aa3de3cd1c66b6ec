/**
 * What a round of refinement trains on: its batches, and the hard negatives of their queries, both found with the
 * student as it was at the last refresh. Kept on disk beside the state, so that a killed run continues with the same
 * ones.
 */
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { clusterRows, groupBatches } from '../data/clusters.ts';
import type { ClickedQuery } from '../data/pairs.ts';
import { seeded } from '../data/seeded.ts';
import { readTensors, writeTensors } from '../data/tensor-file.ts';
import { embeddingWidth } from '../nn/encoder.ts';
import { type EncoderModel, encodeTexts } from '../runner/encoder.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { type Mined, mineNegatives } from './negatives.ts';
import type { Round } from './refine-rounds.ts';
import type { RefineSettings } from './refine-settings.ts';

/** Batches a window of similar lengths: narrow, so that in-batch negatives stay a fair sample of the market. */
const WINDOW = 4;
/** Fills the places of negatives that were not found. */
const NONE = -1;

export interface RoundPlan {
  /** Rows of the part, one batch after the other, [batches * batch]. */
  readonly rows: Int32Array;
  /** Rows of the ads, `depth` for each of `rows`; -1 where fewer were found. */
  readonly negatives: Int32Array;
  /** What mining passed over. */
  readonly skipped: Mined['skipped'];
}

export interface PlanOptions {
  readonly tokenizer: TextTokenizer;
  /** The part, and which of its rows the round trains on. */
  readonly queries: readonly ClickedQuery[];
  readonly rows: readonly number[];
  readonly ads: Float32Array;
  readonly booked: (row: number, market: string) => boolean;
  readonly settings: Pick<RefineSettings, 'batch' | 'clusters' | 'negatives'>;
  readonly seed: number;
  readonly round: Round;
  readonly threads: number;
}

/** Mines and clusters with the student's vectors. */
export async function planRound(student: EncoderModel, options: PlanOptions): Promise<RoundPlan> {
  const { tokenizer, queries, rows, ads, booked, settings, seed, round, threads } = options;
  const { batch, clusters: perCluster, negatives: mining } = settings;
  const dimension = embeddingWidth(student);
  const asked = rows.map((row) => queries[row]!);
  const texts = asked.map(({ text }) => text);
  const vectors = await encodeTexts(student, texts, { tokenizer, threads });
  const { negatives, skipped } = await mineNegatives({ queries: asked, vectors, ads, dimension, booked, ...mining });

  const random = seeded(seed, 'refine batches', round.start);
  const clusters = perCluster > 0 ? clusterRows({ vectors, dimension, perCluster, random }) : asked.map((_, i) => [i]);
  const lengths = texts.map((text) => tokenizer.encode(text).length);
  const order = groupBatches(clusters, { batch, lengths, window: WINDOW, random }).flat();
  const found = new Int32Array(order.length * mining.depth).fill(NONE);
  order.forEach((member, i) => {
    found.set(negatives[member]!, i * mining.depth);
  });
  return { rows: Int32Array.from(order, (member) => rows[member]!), negatives: found, skipped };
}

const fileOf = (folder: string, { start }: Round): string => join(folder, `round-${start}.safetensors`);

/** Whether a round has its plan on disk. */
export const hasPlan = (folder: string, round: Round): boolean => existsSync(fileOf(folder, round));

export async function writePlan(folder: string, round: Round, { rows, negatives, skipped }: RoundPlan): Promise<void> {
  await writeTensors(fileOf(folder, round), {
    tensors: new Map([
      ['rows', { dtype: 'int32', shape: [rows.length], data: rows }],
      ['negatives', { dtype: 'int32', shape: [negatives.length], data: negatives }],
    ]),
    metadata: { clicked: String(skipped.clicked), aboveCap: String(skipped.aboveCap) },
  });
}

/** A round's plan, as it was written. */
export async function readPlan(folder: string, round: Round): Promise<RoundPlan> {
  const { tensors, metadata } = await readTensors(fileOf(folder, round));
  return {
    rows: tensors.get('rows')!.data as Int32Array,
    negatives: tensors.get('negatives')!.data as Int32Array,
    skipped: { clicked: Number(metadata.clicked), aboveCap: Number(metadata.aboveCap) },
  };
}

/** Drops the plans of the rounds before an update. */
export async function dropPlans(folder: string, before: number): Promise<void> {
  for (const file of await readdir(folder)) {
    const start = /^round-(\d+)\.safetensors$/.exec(file)?.[1];
    if (start !== undefined && Number(start) < before) await rm(join(folder, file));
  }
}
