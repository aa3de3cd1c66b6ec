/**
 * Phase 1, fine-tuning: the teacher learns the market from clicked pairs, both towers with the same weights, contrastively, as in
 * HARNESS-LM (arXiv 2605.23572) and Qwen3-Embedding (arXiv 2506.05176). On the query side it may read oracle context.
 *
 * Batches are as large as the loss needs, not as memory allows: gradients go through the vectors (runner/grad-cache.ts).
 */
import { HarnessError } from '../../shared/problem.ts';
import type { RecipeConfig } from '../config.ts';
import { type ClickedQuery, drawAd, type PairPart } from '../data/pairs.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { wordTable } from '../nn/encoder.ts';
import { contrastive, initialLogitScale, LOGIT_SCALE, learntTemperature } from '../nn/losses.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { type GradCacheBatch, type GradCacheOptions, GradCacheRunner } from '../runner/grad-cache.ts';
import type { Report } from '../runner/step.ts';
import { maskTensor } from '../runner/step-inputs.ts';
import { teacherInput } from '../teacher/input.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { optimization, type Trained, train } from './train.ts';

/** A clicked pair to train on: query as the teacher reads it, rows of the clicked ad and of its hard negatives. */
export interface FinetunePair {
  readonly query: ClickedQuery;
  /** What the teacher reads. */
  readonly input: string;
  readonly ad: number;
}

export interface FinetunePairOptions {
  /** The clicked queries, with context where the teacher reads it. */
  readonly parts: readonly Pick<PairPart, 'read'>[];
  readonly settings: Pick<RecipeConfig['finetune'], 'steps' | 'batch' | 'contextShare'>;
  readonly seed: number;
}

/**
 * The pairs of the whole training, in order, steps x batch: epoch after epoch, parts and their queries shuffled, an ad drawn for each by its
 * clicks. One part is in memory at a time. @throws HarnessError where there are none.
 */
export async function finetunePairs({ parts, settings, seed }: FinetunePairOptions): Promise<FinetunePair[]> {
  const pairs: FinetunePair[] = [];
  const count = settings.steps * settings.batch;
  for (let epoch = 0; pairs.length < count; epoch++) {
    const before = pairs.length;
    for (const part of shuffle([...parts.keys()], seeded(seed, 'finetune parts', epoch))) {
      const random = seeded(seed, 'finetune', epoch, part);
      for (const query of shuffle(await parts[part]!.read(), random).slice(0, count - pairs.length)) {
        const input = random() < settings.contextShare ? teacherInput(query) : query.text;
        pairs.push({ query, input, ad: drawAd(query, random) });
      }
      if (pairs.length === count) break;
    }
    if (pairs.length === before)
      throw new HarnessError('bad_request', 'fine-tuning: expected queries with clicks, found none in clicks.train.');
  }
  return pairs;
}

export interface FinetuneOptions {
  readonly teacher: EncoderModel;
  readonly tokenizer: TextTokenizer;
  /** From `finetunePairs`. */
  readonly pairs: readonly FinetunePair[];
  /** Rows of hard negatives, one list a pair (phases/negatives.ts). */
  readonly negatives: readonly (readonly number[])[];
  /** The ads as the teacher reads them, by row. */
  readonly adTexts: readonly string[];
  readonly settings: RecipeConfig['finetune'];
  readonly seed: number;
  readonly folder: string;
  readonly threads?: number;
  readonly onStep?: (step: number, report: Report) => void;
}

/** Trains, or continues training, to the last step; the result has the weights of the fine-tuned teacher. */
export async function finetune(options: FinetuneOptions): Promise<Trained> {
  const { teacher, settings, folder, threads = 0, onStep = () => {} } = options;
  const { steps, checkpointEvery } = settings;
  return train(teacher, {
    open: (state) => GradCacheRunner.open(gradCacheOptions(options), { state, threads }),
    folder,
    steps,
    checkpointEvery,
    onStep,
    batchesAfter: (after) => batchesAfter(after, options),
  });
}

function gradCacheOptions({ teacher, tokenizer, settings }: FinetuneOptions): GradCacheOptions {
  const { batch, chunkTokens, trainWords, learnTemperature, negatives } = settings;
  const weights = new Map(teacher.weights);
  if (learnTemperature) weights.set(LOGIT_SCALE, initialLogitScale(settings.temperature));
  return {
    encoder: { ...teacher, weights },
    pad: (rows) => tokenizer.pad(rows),
    frozen: (name) => name === wordTable(teacher.config) && !trainWords,
    queries: batch,
    documents: batch * (1 + negatives.perQuery),
    chunkTokens,
    loss: (graph, inputs) =>
      contrastive(graph, inputs, {
        ...settings,
        temperature: learnTemperature ? learntTemperature(graph) : settings.temperature,
      }),
    ...optimization(settings),
  };
}

async function* batchesAfter(
  after: number,
  { pairs, negatives, adTexts, settings, seed, tokenizer }: FinetuneOptions,
): AsyncGenerator<{ step: number; inputs: GradCacheBatch }> {
  const { batch } = settings;
  const ids = new Map<number, number[]>();
  const adIds = (row: number): number[] => {
    const known = ids.get(row) ?? tokenizer.encode(adTexts[row]!);
    ids.set(row, known);
    return known;
  };
  for (let step = after + 1; step * batch <= pairs.length; step++) {
    const start = (step - 1) * batch;
    const members = pairs.slice(start, start + batch);
    const random = seeded(seed, 'finetune negatives', step);
    const hard = Array.from({ length: settings.negatives.perQuery }, () =>
      members.map((_, i) => {
        const rows = negatives[start + i]!;
        // Where everything near is taken for a positive, any ad will do.
        return rows.length === 0 ? Math.floor(random() * adTexts.length) : rows[Math.floor(random() * rows.length)]!;
      }),
    ).flat();
    const documents = [...members.map(({ ad }) => ad), ...hard];
    const clicked = members.map(({ query }) => new Set(query.ads.map(({ row }) => row)));
    yield {
      step,
      inputs: {
        queries: members.map(({ input }) => tokenizer.encode(input)),
        documents: documents.map(adIds),
        bias: maskTensor([batch, documents.length], (i, j) => clicked[i]!.has(documents[j]!)).data,
      },
    };
  }
}
