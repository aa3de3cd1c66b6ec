/**
 * Phase 3, refinement: the query tower alone is trained contrastively on clicked pairs, against the teacher's frozen ad vectors with
 * mined hard negatives, as in HARNESS-LM (arXiv 2605.23572). The ads are inputs of the graph, not parameters: nothing can move them.
 */
import type { RecipeConfig } from '../config.ts';
import { lengthBatches } from '../data/batches.ts';
import { type ClickedQuery, drawAd } from '../data/pairs.ts';
import { seeded } from '../data/seeded.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { embeddingOf, wordTable } from '../nn/encoder.ts';
import { contrastive } from '../nn/losses.ts';
import type { TensorData } from '../onnx/model.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { type CompiledStep, compileStep, type Report } from '../runner/step.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { type Batch, optimization, type Trained, train } from './train.ts';

/** Batches a window of similar lengths: narrow, so that in-batch negatives stay a fair sample of the market. */
const WINDOW = 4;
/** Added to the logit of a pair that is known to be no negative. */
const NO_NEGATIVE = -1e4;

export interface RefineOptions {
  readonly student: EncoderModel;
  readonly tokenizer: TextTokenizer;
  readonly queries: readonly ClickedQuery[];
  /** Rows of hard negatives, one list a query (phases/negatives.ts). */
  readonly negatives: readonly (readonly number[])[];
  /** The teacher's ad vectors, float32 [ads, dimension], rows of length 1; only read. */
  readonly ads: Float32Array;
  readonly settings: RecipeConfig['refine'];
  readonly seed: number;
  readonly folder: string;
  readonly threads?: number;
  readonly onStep?: (step: number, report: Report) => void;
}

/** The training graph: [batch, tokens] queries against 2 x batch frozen ads, the positives first. */
export function refinementStep({ student, settings }: Pick<RefineOptions, 'student' | 'settings'>): CompiledStep {
  const { config, weights } = student;
  const { batch } = settings;
  return compileStep({
    build(graph) {
      const queries = embeddingOf(graph, student, tokenInputs(graph, [batch, 'tokens']));
      const documents = graph.input('documents', 'float32', [2 * batch, config.hidden_size]);
      const bias = graph.input('bias', 'float32', [batch, 2 * batch]);
      return contrastive(graph, { queries, documents, bias }, settings);
    },
    weights,
    frozen: (name) => name === wordTable(config),
    ...optimization(settings),
  });
}

/** Ads of a batch: the clicked one of each query, then a hard negative of each (or any ad where none was found). */
function drawAds(members: readonly number[], options: RefineOptions, random: () => number): number[] {
  const { queries, negatives, ads, student } = options;
  const count = ads.length / student.config.hidden_size;
  const pick = (rows: readonly number[]) =>
    rows.length === 0 ? Math.floor(random() * count) : rows[Math.floor(random() * rows.length)]!;
  return [
    ...members.map((member) => drawAd(queries[member]!, random)),
    ...members.map((member) => pick(negatives[member]!)),
  ];
}

async function* batchesAfter(after: number, options: RefineOptions): AsyncGenerator<Batch> {
  const { queries, ads, settings, seed, student, tokenizer } = options;
  const { batch } = settings;
  const dimension = student.config.hidden_size;
  const rows = queries.map(({ text }) => tokenizer.encode(text));
  const clicked = queries.map((query) => new Set(query.ads.map(({ row }) => row)));
  let step = 0;
  for (let epoch = 0; ; epoch++) {
    const random = seeded(seed, 'refine', epoch);
    for (const members of lengthBatches(
      rows.map((row) => row.length),
      { batch, window: WINDOW, random },
    )) {
      if (++step <= after) continue;
      const { inputIds, attentionMask, tokens } = tokenizer.pad(members.map((row) => rows[row]!));
      // A stream of its own a step: what a step draws does not depend on where the run began.
      const drawn = drawAds(members, options, seeded(seed, 'refine', epoch, step));
      const documents = new Float32Array(drawn.length * dimension);
      drawn.forEach((row, i) => {
        documents.set(ads.subarray(row * dimension, (row + 1) * dimension), i * dimension);
      });
      const bias = new Float32Array(batch * drawn.length);
      for (const [i, member] of members.entries()) {
        for (const [j, row] of drawn.entries()) {
          if (j !== i && clicked[member]!.has(row)) bias[i * drawn.length + j] = NO_NEGATIVE;
        }
      }
      yield {
        step,
        inputs: new Map<string, TensorData>([
          ['input_ids', { dtype: 'int64', shape: [batch, tokens], data: inputIds }],
          ['attention_mask', { dtype: 'int64', shape: [batch, tokens], data: attentionMask }],
          ['documents', { dtype: 'float32', shape: [drawn.length, dimension], data: documents }],
          ['bias', { dtype: 'float32', shape: [batch, drawn.length], data: bias }],
        ]),
      };
    }
    if (step === 0) throw new Error(`fewer clicked queries (${queries.length}) than a batch of ${batch}`);
  }
}

/** Trains, or goes on training, to the last step. */
export function refine(options: RefineOptions): Promise<Trained> {
  const { student, settings, folder, threads = 0, onStep = () => {} } = options;
  const { steps, checkpointEvery } = settings;
  const compiled = refinementStep(options);
  return train(student, {
    compiled,
    folder,
    steps,
    checkpointEvery,
    threads,
    onStep,
    batchesAfter: (after) => batchesAfter(after, options),
  });
}
