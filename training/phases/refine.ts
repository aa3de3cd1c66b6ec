/**
 * Phase 3, refinement: the query tower alone is trained contrastively on clicked pairs, against the teacher's frozen ad vectors with
 * mined hard negatives, as in HARNESS-LM (arXiv 2605.23572). The ads are inputs of the graph, not parameters: nothing can move them.
 *
 * Optional: negatives mined again with the student as it then is, batches of near neighbours (data/clusters.ts), and
 * queries that share clicked ads drawn together (data/co-clicks.ts).
 */
import { coClicks } from '../data/co-clicks.ts';
import type { ClickedQuery, PairPart } from '../data/pairs.ts';
import { seeded } from '../data/seeded.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { embeddingOf, embeddingWidth, wordTable } from '../nn/encoder.ts';
import { contrastive, divergence, squaredDistance } from '../nn/losses.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { openRunner, type RunnerOptions } from '../runner/runner.ts';
import { type CompiledStep, compileStep, type Report } from '../runner/step.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import type { AlignmentPart } from './align.ts';
import type { Mined } from './negatives.ts';
import { generalTexts, roundBatches } from './refine-batches.ts';
import { dropPlans, hasPlan, planRound, type RoundPlan, readPlan, writePlan } from './refine-plan.ts';
import { intervals, type Round, rowsOf } from './refine-rounds.ts';
import type { RefineSettings } from './refine-settings.ts';
import { type Batch, optimization, type Trained, type TrainOptions, train } from './train.ts';

/** Clicked queries in parts: how many each holds, and how to read one. */
export type RefinePart = Pick<PairPart, 'rows' | 'read'>;

/** Told of each refresh, when it is done. */
export interface Refreshed {
  /** Updates made before. */
  readonly step: number;
  /** Queries mined for: those that are trained on before the next refresh. */
  readonly queries: number;
  readonly skipped: Mined['skipped'];
}

export interface RefineOptions extends Pick<RunnerOptions, 'device' | 'threads' | 'stepsPerCall' | 'say'> {
  readonly student: EncoderModel;
  readonly tokenizer: TextTokenizer;
  readonly parts: readonly RefinePart[];
  /** The teacher's ad vectors, float32 [ads, dimension], rows of length 1; only read. */
  readonly ads: Float32Array;
  /** The teacher's vectors of queries with their real inputs, float32 [queries, dimension]; asked for where the settings have a distillation. */
  readonly targets?: (queries: readonly ClickedQuery[]) => Promise<Float32Array>;
  /** General texts with the teacher's vectors, in any number of parts; read where the settings have a replay. */
  readonly general?: readonly AlignmentPart[];
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
 * The training graph. Inputs: [texts, tokens] queries, then their neighbours where the settings have co-clicks, then general texts where
 * they have a replay; `documents` float32 [batch * (1 + perQuery), dimension], the positives first, `bias` [batch, documents]; with a
 * distillation `target` [batch, dimension], with co-clicks `neighbour_bias` [batch, batch], with a replay `replay_target` [general, dimension].
 */
export function refinementStep({ student, settings }: Pick<RefineOptions, 'student' | 'settings'>): CompiledStep {
  const { config, weights } = student;
  const { batch, negatives, coClicks, distillation = 0, replay, trainWords = false } = settings;
  const neighbours = coClicks.weight > 0 ? batch : 0;
  const general = replay?.texts ?? 0;
  const width = embeddingWidth(student);
  return compileStep({
    build(graph) {
      const texts = batch + neighbours + general;
      const vectors = embeddingOf(graph, student, tokenInputs(graph, [texts, 'tokens']));
      const part = (from: number, to: number) => (to - from === texts ? vectors : graph.slice(vectors, 0, [from, to]));
      const queries = part(0, batch);
      const count = (1 + negatives.perQuery) * batch;
      const documents = graph.input('documents', 'float32', [count, width]);
      const bias = graph.input('bias', 'float32', [batch, count]);
      const terms = [contrastive(graph, { queries, documents, bias }, settings)];
      if (distillation > 0) {
        const teacher = graph.input('target', 'float32', [batch, width]);
        const apart = divergence(graph, { student: queries, teacher, documents }, settings.temperature);
        terms.push(graph.times(apart, distillation));
      }
      if (neighbours > 0) {
        const known = graph.input('neighbour_bias', 'float32', [batch, batch]);
        const near = { queries, documents: part(batch, batch + neighbours), bias: known };
        terms.push(graph.times(contrastive(graph, near, settings), coClicks.weight));
      }
      if (replay && general > 0) {
        const teacher = graph.input('replay_target', 'float32', [general, width]);
        terms.push(graph.times(squaredDistance(graph, part(batch + neighbours, texts), teacher), replay.weight));
      }
      return terms.reduce((sum, term) => graph.plus(sum, term));
    },
    weights,
    frozen: (name) => name === wordTable(config) && !trainWords,
    ...optimization(settings),
  });
}

/** Rows of each part, and what decides which are trained on when. */
const dealing = ({ parts, settings, seed }: RefineOptions) => ({
  parts: parts.map(({ rows }) => rows),
  steps: settings.steps,
  rowsPerStep: settings.batch * (settings.accumulate ?? 1),
  refreshEvery: settings.negatives.refreshEvery,
  seed,
});

/** Mines for an interval, round by round, what a killed run has not mined yet; plans of earlier intervals are dropped after that. */
async function refresh(interval: readonly Round[], student: EncoderModel, options: RefineOptions): Promise<Refreshed> {
  const { tokenizer, parts, ads, booked, settings, seed, folder, threads = 0 } = options;
  const [step, skipped] = [interval[0]!.start, { clicked: 0, aboveCap: 0 }];
  let asked = 0;
  const mined = async (round: Round): Promise<RoundPlan> => {
    const queries = await parts[round.part]!.read();
    const rows = rowsOf(round, dealing(options));
    const plan = await planRound(student, { tokenizer, queries, rows, ads, booked, settings, seed, round, threads });
    await writePlan(folder, round, plan);
    return plan;
  };
  for (const round of interval) {
    const plan = hasPlan(folder, round) ? await readPlan(folder, round) : await mined(round);
    asked += plan.rows.length;
    skipped.clicked += plan.skipped.clicked;
    skipped.aboveCap += plan.skipped.aboveCap;
  }
  await dropPlans(folder, step);
  return { step, queries: asked, skipped };
}

/** An interval's batches from number `after` + 1 on; a part is read when its round comes. */
async function* batchesAfter(after: number, interval: readonly Round[], options: RefineOptions): AsyncGenerator<Batch> {
  const { student, tokenizer, parts, ads, targets, general = [], settings, seed, folder } = options;
  const { accumulate = 1, distillation = 0, replay, coClicks: regularisation } = settings;
  for (const round of interval) {
    if (round.end * accumulate <= after) continue;
    const queries = await parts[round.part]!.read();
    const held = { perAd: regularisation.perAd, random: seeded(seed, 'co-clicks', round.part) };
    const plan = await readPlan(folder, round);
    yield* roundBatches(after, {
      queries,
      tokenizer,
      ads,
      settings,
      seed,
      plan,
      targets: distillation > 0 ? await targets?.([...plan.rows].map((row) => queries[row]!)) : undefined,
      dimension: embeddingWidth(student),
      general: replay ? generalTexts(await general[round.part % general.length]!.read(), tokenizer) : undefined,
      coClicks: regularisation.weight > 0 ? coClicks(queries, held) : undefined,
      before: round.start * accumulate,
    });
  }
}

/**
 * Trains, or continues training, to the last step. Killing the process at any moment loses at most `checkpointEvery`
 * updates.
 */
export async function refine(options: RefineOptions): Promise<Trained> {
  const { student, settings, folder, onStep = () => {}, onRefresh = () => {}, measure } = options;
  const { device, threads, stepsPerCall, say } = options;
  const { checkpointEvery, accumulate = 1 } = settings;
  const running = { device, threads, stepsPerCall, say };
  const all = intervals(dealing(options));
  const ready = (interval: readonly Round[]) => interval.every((round) => hasPlan(folder, round));
  const compiled = refinementStep(options);

  let trained: Trained = { student, losses: [] };
  // Plans are dropped only when those of the next interval are all there: the last complete one says how far a run has come.
  for (const interval of all.slice(Math.max(0, all.findLastIndex(ready)))) {
    if (!ready(interval)) onRefresh(await refresh(interval, trained.student, options));
    trained = await train(student, {
      open: (state) => openRunner(compiled, { ...running, state }),
      folder,
      steps: interval.at(-1)!.end,
      checkpointEvery,
      accumulate,
      onStep,
      measure,
      batchesAfter: (after) => batchesAfter(after, interval, options),
    });
  }
  return trained;
}
