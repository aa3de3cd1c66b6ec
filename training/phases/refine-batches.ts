/** A round's batches as the training step reads them: queries, the ads they are told apart by, neighbours, and what is no negative. */
import type { CoClicks } from '../data/co-clicks.ts';
import { type ClickedQuery, drawAd } from '../data/pairs.ts';
import { seeded } from '../data/seeded.ts';
import { withTypo } from '../data/typos.ts';
import { NO_NEGATIVE } from '../nn/losses.ts';
import type { TensorData } from '../onnx/model.ts';
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
  readonly settings: Pick<RefineSettings, 'batch' | 'negatives' | 'typos'>;
  /** Between the part's queries, where the settings ask for regularisation. */
  readonly coClicks: CoClicks | undefined;
  readonly seed: number;
  /** Batches before the round's first. */
  readonly before: number;
}

const float = (shape: readonly number[], data: Float32Array): TensorData => ({ dtype: 'float32', shape, data });

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

/** 0, or `NO_NEGATIVE` off the diagonal where two are known to belong together, float32 [rows, columns]. */
function maskOf([rows, columns]: readonly [number, number], known: (row: number, column: number) => boolean) {
  const bias = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) if (i !== j && known(i, j)) bias[i * columns + j] = NO_NEGATIVE;
  }
  return float([rows, columns], bias);
}

function batchInputs(start: number, options: RoundBatchesOptions, random: () => number): Batch['inputs'] {
  const { plan, queries, tokenizer, ads, dimension, settings, coClicks } = options;
  const { batch, negatives } = settings;
  const members = [...plan.rows.subarray(start, start + batch)];
  const hard = members.map((_, i) => drawNegatives(start + i, options, random));
  const drawn = members.map((row) => drawAd(queries[row]!, random));
  // The first negative of every query, then the second of every query: as many blocks as a query has.
  for (let k = 0; k < negatives.perQuery; k++) drawn.push(...hard.map((rows) => rows[k]!));
  const documents = new Float32Array(drawn.length * dimension);
  drawn.forEach((row, i) => {
    documents.set(ads.subarray(row * dimension, (row + 1) * dimension), i * dimension);
  });
  const clicked = members.map((row) => new Set(queries[row]!.ads.map((ad) => ad.row)));
  const inputs = new Map<string, TensorData>([
    ['documents', float([drawn.length, dimension], documents)],
    ['bias', maskOf([batch, drawn.length], (i, j) => clicked[i]!.has(drawn[j]!))],
  ]);

  const typos = settings.typos ?? 0;
  const typed = (text: string) => (typos > 0 && random() < typos ? withTypo(text, random) : text);
  const texts = members.map((row) => typed(queries[row]!.text));
  if (coClicks) {
    const near = members.map((row) => coClicks.neighbour(row, random));
    // A query without neighbours stands beside itself, and all others are masked: it adds nothing.
    texts.push(...near.map((row, i) => queries[row ?? members[i]!]!.text));
    const known = (i: number, j: number) =>
      near[i] === undefined || coClicks.related(members[i]!, near[j] ?? members[j]!);
    inputs.set('neighbour_bias', maskOf([batch, batch], known));
  }
  const { inputIds, attentionMask, tokens } = tokenizer.pad(texts.map((text) => tokenizer.encode(text)));
  inputs.set('input_ids', { dtype: 'int64', shape: [texts.length, tokens], data: inputIds });
  inputs.set('attention_mask', { dtype: 'int64', shape: [texts.length, tokens], data: attentionMask });
  return inputs;
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
