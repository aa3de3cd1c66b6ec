/**
 * A round's batches as the training step reads them: queries, the ads they are told apart by, neighbours, and which
 * pairs are not negatives.
 */
import type { CoClicks } from '../data/co-clicks.ts';
import { withNoise } from '../data/noise.ts';
import { type ClickedQuery, drawAd } from '../data/pairs.ts';
import { seeded } from '../data/seeded.ts';
import type { TensorData } from '../onnx/model.ts';
import { maskTensor, rowTensor, tokenTensors } from '../runner/step-inputs.ts';
import type { StoredVectors } from '../teacher/targets.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import type { RoundPlan } from './refine-plan.ts';
import type { RefineSettings } from './refine-settings.ts';
import type { Batch } from './train.ts';

export interface RoundBatchesOptions {
  readonly plan: RoundPlan;
  /** The part that the plan's rows are of. */
  readonly queries: readonly ClickedQuery[];
  readonly tokenizer: TextTokenizer;
  /** float32 [ads, dimension]. */
  readonly ads: Float32Array;
  readonly dimension: number;
  /** The teacher's vectors of the plan's queries, float32 [rows, dimension], where the settings have a distillation. */
  readonly targets: Float32Array | undefined;
  /** Where the settings have a replay. */
  readonly general: GeneralTexts | undefined;
  readonly settings: Pick<RefineSettings, 'batch' | 'negatives' | 'noise' | 'replay'>;
  /** Between the part's queries, where the settings ask for regularisation. */
  readonly coClicks: CoClicks | undefined;
  readonly seed: number;
  /** Batches before the round's first. */
  readonly before: number;
}

/** General texts as tokens, the shortest first, with the teacher's vectors, float32 [texts, dimension], in the same order. */
export interface GeneralTexts {
  readonly tokens: readonly (readonly number[])[];
  readonly vectors: Float32Array;
}

export function generalTexts({ texts, vectors }: StoredVectors, tokenizer: TextTokenizer): GeneralTexts {
  const dimension = vectors.length / texts.length;
  const tokens = texts.map((text) => tokenizer.encode(text));
  const order = [...tokens.keys()].sort((a, b) => tokens[a]!.length - tokens[b]!.length || a - b);
  return {
    tokens: order.map((row) => tokens[row]!),
    vectors: rowTensor(vectors, order, dimension).data as Float32Array,
  };
}

/** Some of the texts that are not longer than the batch's queries: beside those they cost no padding. */
function drawGeneral(
  { tokens }: GeneralTexts,
  { count, longest }: { count: number; longest: number },
  random: () => number,
) {
  const beyond = tokens.findIndex((row) => row.length > longest);
  const fitting = Math.max(1, beyond === -1 ? tokens.length : beyond);
  return Array.from({ length: count }, () => Math.floor(random() * fitting));
}

/** Distinct ones of the negatives mined for a row, and any ad where there are too few. */
function drawNegatives(at: number, options: RoundBatchesOptions, random: () => number): number[] {
  const { plan, ads, dimension, settings } = options;
  const { depth, perQuery } = settings.negatives;
  const mined = [...plan.negatives.subarray(at * depth, (at + 1) * depth)].filter((row) => row >= 0);
  return Array.from({ length: perQuery }, () =>
    mined.length > 0
      ? mined.splice(Math.floor(random() * mined.length), 1)[0]!
      : Math.floor(random() * (ads.length / dimension)),
  );
}

function batchInputs(start: number, options: RoundBatchesOptions, random: () => number): Batch['inputs'] {
  const { plan, queries, tokenizer, ads, dimension, targets, general, settings, coClicks } = options;
  const { batch, negatives, replay } = settings;
  const members = [...plan.rows.subarray(start, start + batch)];
  const hard = members.map((_, i) => drawNegatives(start + i, options, random));
  const drawn = members.map((row) => drawAd(queries[row]!, random));
  // The first negative of every query, then the second of every query: as many blocks as a query has.
  for (let k = 0; k < negatives.perQuery; k++) drawn.push(...hard.map((rows) => rows[k]!));
  const clicked = members.map((row) => new Set(queries[row]!.ads.map((ad) => ad.row)));
  const inputs = new Map<string, TensorData>([
    ['documents', rowTensor(ads, drawn, dimension)],
    ['bias', maskTensor([batch, drawn.length], (i, j) => clicked[i]!.has(drawn[j]!))],
  ]);

  if (targets)
    inputs.set(
      'target',
      rowTensor(
        targets,
        [...Array(batch).keys()].map((i) => start + i),
        dimension,
      ),
    );
  const texts = members.map((row) => withNoise(queries[row]!.text, settings.noise ?? {}, random));
  if (coClicks) {
    const near = members.map((row) => coClicks.neighbour(row, random));
    // A query without neighbours stands beside itself, and all others are masked: it adds nothing.
    texts.push(...near.map((row, i) => queries[row ?? members[i]!]!.text));
    const known = (i: number, j: number) =>
      near[i] === undefined || coClicks.related(members[i]!, near[j] ?? members[j]!);
    inputs.set('neighbour_bias', maskTensor([batch, batch], known));
  }
  const tokens: (readonly number[])[] = texts.map((text) => tokenizer.encode(text));
  if (general && replay) {
    const longest = Math.max(...tokens.map(({ length }) => length));
    const rows = drawGeneral(general, { count: replay.texts, longest }, random);
    tokens.push(...rows.map((row) => general.tokens[row]!));
    inputs.set('replay_target', rowTensor(general.vectors, rows, dimension));
  }
  return new Map([...inputs, ...tokenTensors(tokenizer.pad(tokens))]);
}

/** The round's batches from number `after` + 1 on. */
export function* roundBatches(after: number, options: RoundBatchesOptions): Generator<Batch> {
  const { plan, settings, seed, before } = options;
  const count = plan.rows.length / settings.batch;
  for (let step = Math.max(after, before) + 1; step <= before + count; step++) {
    // A stream of its own a batch: what it draws does not depend on where the run began.
    const random = seeded(seed, 'refine', step);
    yield { step, inputs: batchInputs((step - before - 1) * settings.batch, options, random) };
  }
}
