/**
 * Phase 3, refinement: the query tower alone is trained contrastively on clicked pairs, against the teacher's frozen ad vectors with
 * mined hard negatives, as in HARNESS-LM (arXiv 2605.23572). The ads are inputs of the graph, not parameters: nothing can move them.
 *
 * Optional: negatives mined anew with the student as it then is, batches of near neighbours (data/clusters.ts), and queries that share
 * clicked ads drawn together (data/co-clicks.ts).
 */
import { coClicks } from '../data/co-clicks.ts';
import type { ClickedQuery } from '../data/pairs.ts';
import { seeded } from '../data/seeded.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { embeddingOf, embeddingWidth, wordTable } from '../nn/encoder.ts';
import { contrastive } from '../nn/losses.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { openRunner, type RunnerOptions } from '../runner/runner.ts';
import { type CompiledStep, compileStep, type Report } from '../runner/step.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import type { Mined } from './negatives.ts';
import { roundBatches } from './refine-batches.ts';
import { planRound, reached, readPlan, writePlan } from './refine-plan.ts';
import { rounds, rowsOf } from './refine-rounds.ts';
import type { RefineSettings } from './refine-settings.ts';
import { optimization, type Trained, type TrainOptions, train } from './train.ts';

/** Clicked queries in parts: how many each holds, and how to read one. */
export interface RefinePart {
  readonly rows: number;
  readonly read: () => Promise<readonly ClickedQuery[]>;
}

/** Told when a round begins and its negatives have been mined. */
export interface Refreshed {
  /** Updates made before. */
  readonly step: number;
  /** Queries mined for: those of the round. */
  readonly queries: number;
  readonly skipped: Mined['skipped'];
}

export interface RefineOptions extends Pick<RunnerOptions, 'device' | 'threads' | 'stepsPerCall' | 'say'> {
  readonly student: EncoderModel;
  readonly tokenizer: TextTokenizer;
  readonly parts: readonly RefinePart[];
  /** The teacher's ad vectors, float32 [ads, dimension], rows of length 1; only read. */
  readonly ads: Float32Array;
  /** Whether an ad is booked in a market. */
  readonly booked: (row: number, market: string) => boolean;
  readonly settings: RefineSettings;
  readonly seed: number;
  /** Where state is kept; one folder a run. */
  readonly folder: string;
  readonly onStep?: (step: number, report: Report) => void;
  /** Measures the student at each checkpoint. */
  readonly measure?: TrainOptions<unknown>['measure'];
  readonly onRefresh?: (refreshed: Refreshed) => void;
}

/**
 * The training graph. Inputs: [batch, tokens] queries (with co-clicks twice as many, the neighbours last), `documents` float32
 * [batch * (1 + perQuery), dimension], the positives first, `bias` [batch, documents] and, with co-clicks, `neighbour_bias` [batch, batch].
 */
export function refinementStep({ student, settings }: Pick<RefineOptions, 'student' | 'settings'>): CompiledStep {
  const { config, weights } = student;
  const { batch, negatives, coClicks } = settings;
  return compileStep({
    build(graph) {
      const texts = coClicks.weight > 0 ? 2 * batch : batch;
      const vectors = embeddingOf(graph, student, tokenInputs(graph, [texts, 'tokens']));
      const queries = texts === batch ? vectors : graph.slice(vectors, 0, [0, batch]);
      const count = (1 + negatives.perQuery) * batch;
      const documents = graph.input('documents', 'float32', [count, embeddingWidth(student)]);
      const bias = graph.input('bias', 'float32', [batch, count]);
      const loss = contrastive(graph, { queries, documents, bias }, settings);
      if (texts === batch) return loss;
      const neighbours = graph.slice(vectors, 0, [batch, texts]);
      const known = graph.input('neighbour_bias', 'float32', [batch, batch]);
      const apart = contrastive(graph, { queries, documents: neighbours, bias: known }, settings);
      return graph.plus(loss, graph.times(apart, coClicks.weight));
    },
    weights,
    frozen: (name) => name === wordTable(config),
    ...optimization(settings),
  });
}

/** Trains, or goes on training, to the last step. Killing the process at any moment loses at most `checkpointEvery` updates. */
export async function refine(options: RefineOptions): Promise<Trained> {
  const { student, tokenizer, parts, ads, booked, settings, seed, folder, onStep = () => {} } = options;
  const { onRefresh = () => {}, device = 'cpu', threads = 0, stepsPerCall, say } = options;
  const { steps, batch, checkpointEvery, accumulate = 1, negatives, coClicks: regularisation } = settings;
  const dimension = embeddingWidth(student);
  const rowsPerStep = batch * accumulate;
  const dealing = { parts: parts.map(({ rows }) => rows), steps, rowsPerStep, seed };
  const all = rounds({ ...dealing, refreshEvery: negatives.refreshEvery });
  const compiled = refinementStep(options);
  const running = { device, threads, ...(stepsPerCall ? { stepsPerCall } : {}), ...(say ? { say } : {}) };

  /** A part, and what joins its queries. */
  const openPart = async (part: number) => {
    const queries = await parts[part]!.read();
    const held = { perAd: regularisation.perAd, random: seeded(seed, 'co-clicks', part) };
    return { part, queries, coClicks: regularisation.weight > 0 ? coClicks(queries, held) : undefined };
  };
  let trained: Trained = { student, losses: [] };
  let open: Awaited<ReturnType<typeof openPart>> | undefined;
  for (const round of all.slice(reached(folder, all))) {
    if (open?.part !== round.part) open = await openPart(round.part);
    const { queries } = open;
    let plan = await readPlan(folder, round);
    if (!plan) {
      const rows = rowsOf(round, dealing);
      const asked = negatives.refreshEvery > 0 ? trained.student : student;
      const made = await planRound(asked, { tokenizer, queries, rows, ads, booked, settings, seed, round, threads });
      plan = made.plan;
      await writePlan(folder, round, plan);
      onRefresh({ step: round.start, queries: rows.length, skipped: made.skipped });
    }
    const dealt = { ...open, plan, tokenizer, ads, dimension, settings, seed, before: round.start * accumulate };
    trained = await train(student, {
      open: (state) => openRunner(compiled, { ...running, state }),
      folder,
      steps: round.end,
      checkpointEvery,
      accumulate,
      onStep,
      measure: options.measure,
      batchesAfter: (after) => roundBatches(after, dealt),
    });
  }
  return trained;
}
