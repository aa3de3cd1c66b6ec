/**
 * Phase 1 for a teacher that cannot be trained itself, an endpoint or vectors on disk: a low-rank residual on top of
 * its frozen vectors, one for queries and one for documents, trained on clicked pairs. After "Augmented Embeddings for
 * Custom Retrievals" (Khatry et al., 2023, arXiv 2310.05380), here linear, so that what is trained comes down to one
 * matrix per side:
 *
 *     y = normalize(x P + x A B)      A [from, rank] random, B [rank, to] zero at first; P the projection, or the identity
 *
 * It begins as the teacher itself, and is held near it: by its rank, by weight decay, and by the squared distance of
 * each vector from where P alone would put it.
 */
import { Matrix } from 'ml-matrix';
import { HarnessError } from '../../shared/problem.ts';
import { type ClickedQuery, drawAd } from '../data/pairs.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import type { Graph, Value } from '../graph/graph.ts';
import { normalizeRows } from '../nn/layers.ts';
import { contrastive, squaredDistance } from '../nn/losses.ts';
import type { OptimizerSettings } from '../nn/optimizers/settings.ts';
import type { TensorData } from '../onnx/model.ts';
import { openRunner } from '../runner/runner.ts';
import { type CompiledStep, compileStep, type Report } from '../runner/step.ts';
import { maskTensor, rowTensor } from '../runner/step-inputs.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import type { LinearMap } from '../teacher/linear-map.ts';
import type { Role } from '../teacher/teacher.ts';
import { type Batch, type LossPoint, optimization, train } from './train.ts';

/** What the adapter is set by. */
export type AdaptSettings = OptimizerSettings & {
  /** Dimensions of each residual. */
  readonly rank: number;
  /** Updates. */
  readonly steps: number;
  /** Clicked queries a batch; the other queries' documents are negatives too. */
  readonly batch: number;
  /** Mined negatives drawn for each query. */
  readonly hardNegatives: number;
  readonly temperature: number;
  /** A document that scores above the positive by more than this cosine is taken for a missed positive. */
  readonly falseNegativeMargin: number;
  /** Weight of the squared distance from the vectors as they were. */
  readonly anchor: number;
  /** Updates between two states on disk. */
  readonly checkpointEvery: number;
};

export interface AdaptOptions {
  readonly clicked: readonly ClickedQuery[];
  /** The teacher's vectors, rows of length 1: of the clicked queries in their order, and of the documents. */
  readonly queries: Float32Array;
  readonly documents: Float32Array;
  /** Length of the teacher's vectors. */
  readonly from: number;
  /** Rows of hard negatives, one list a query (phases/negatives.ts). */
  readonly negatives: readonly (readonly number[])[];
  /** To the student's dimension (teacher/projection.ts), where that differs. */
  readonly projection?: LinearMap | undefined;
  readonly settings: AdaptSettings;
  readonly seed: number;
  /** Where state is kept; one folder a run. */
  readonly folder: string;
  readonly threads?: number;
  readonly onStep?: (step: number, report: Report) => void;
}

/** A trained adapter. */
export interface Adapted {
  /** From the teacher's vectors to the adapted ones, the projection included. */
  readonly map: LinearMap;
  readonly losses: readonly LossPoint[];
}

const ROLES: readonly Role[] = ['query', 'document'];
const base = (role: Role) => `${role}.base`;
const down = (role: Role) => `${role}.down`;
const up = (role: Role) => `${role}.up`;

/** Normalised vectors of a side [rows, from]: with the residual, and without. */
function sides(g: Graph, x: Value, { role, from, to, rank }: { role: Role; from: number; to: number; rank: number }) {
  const projected = from === to ? x : g.matmul(x, g.parameter(base(role), [from, to]));
  const inner = g.matmul(x, g.parameter(down(role), [from, rank]));
  const residual = g.matmul(inner, g.parameter(up(role), [rank, to]));
  return { adapted: normalizeRows(g, g.plus(projected, residual)), before: normalizeRows(g, projected) };
}

function initialWeights({ from, projection, settings, seed }: AdaptOptions): Weights {
  const { rank } = settings;
  const to = projection?.to ?? from;
  const weights = new Map<string, TensorData>();
  for (const role of ROLES) {
    // Uniform with variance 1 / from: x A has about the length of x times the root of rank / from.
    const random = seeded(seed, 'adapter', role);
    const limit = Math.sqrt(3 / from);
    const start = Float32Array.from({ length: from * rank }, () => limit * (2 * random() - 1));
    weights.set(down(role), { dtype: 'float32', shape: [from, rank], data: start });
    weights.set(up(role), { dtype: 'float32', shape: [rank, to], data: new Float32Array(rank * to) });
    if (projection) weights.set(base(role), { dtype: 'float32', shape: [from, to], data: projection[role] });
  }
  return weights;
}

/** The training graph: queries [batch, from] against batch x (1 + hardNegatives) documents, the positives first. */
function adaptationStep(
  options: Pick<AdaptOptions, 'from' | 'projection' | 'settings'>,
  weights: Weights,
): CompiledStep {
  const { from, projection, settings } = options;
  const { batch, rank, anchor } = settings;
  const count = batch * (1 + settings.hardNegatives);
  const shape = { from, to: projection?.to ?? from, rank };
  return compileStep({
    build(graph) {
      const query = sides(graph, graph.input('queries', 'float32', [batch, from]), { role: 'query', ...shape });
      const document = sides(graph, graph.input('documents', 'float32', [count, from]), { role: 'document', ...shape });
      const bias = graph.input('bias', 'float32', [batch, count]);
      const found = contrastive(graph, { queries: query.adapted, documents: document.adapted, bias }, settings);
      const moved = [query, document].map(({ adapted, before }) => squaredDistance(graph, adapted, before));
      return graph.plus(found, graph.times(graph.plus(moved[0]!, moved[1]!), anchor));
    },
    weights,
    frozen: (name) => ROLES.some((role) => name === base(role)),
    ...optimization(settings),
  });
}

/** The documents of a batch: a clicked one of each query, then its hard negatives, or any document where none was found. */
function draw(members: readonly number[], options: AdaptOptions, random: () => number): number[] {
  const { clicked, negatives, documents, from, settings } = options;
  const pick = (rows: readonly number[]) =>
    rows.length === 0 ? Math.floor((random() * documents.length) / from) : rows[Math.floor(random() * rows.length)]!;
  return [
    ...members.map((member) => drawAd(clicked[member]!, random)),
    ...members.flatMap((member) => Array.from({ length: settings.hardNegatives }, () => pick(negatives[member]!))),
  ];
}

async function* batchesAfter(after: number, options: AdaptOptions): AsyncGenerator<Batch> {
  const { clicked, queries, documents, from, settings, seed } = options;
  const { batch } = settings;
  const knownTo = clicked.map(({ ads }) => new Set(ads.map(({ row }) => row)));
  const perEpoch = Math.floor(clicked.length / batch);
  for (let step = after + 1; ; ) {
    const epoch = Math.floor((step - 1) / perEpoch);
    const order = shuffle([...clicked.keys()], seeded(seed, 'adapt', epoch));
    for (; step <= (epoch + 1) * perEpoch; step++) {
      const start = ((step - 1) % perEpoch) * batch;
      const members = order.slice(start, start + batch);
      // A stream of its own a step: what a step draws does not depend on where the run began.
      const drawn = draw(members, options, seeded(seed, 'adapt', 'draw', step));
      yield {
        step,
        inputs: new Map<string, TensorData>([
          ['queries', rowTensor(queries, members, from)],
          ['documents', rowTensor(documents, drawn, from)],
          ['bias', maskTensor([batch, drawn.length], (i, j) => knownTo[members[i]!]!.has(drawn[j]!))],
        ]),
      };
    }
  }
}

/** P + A B of each side. */
function folded(weights: Weights, { from, projection, settings }: AdaptOptions): LinearMap {
  const to = projection?.to ?? from;
  const { rank } = settings;
  const matrix = (name: string, rows: number, columns: number) =>
    Matrix.from1DArray(rows, columns, weights.get(name)!.data as Float32Array);
  const side = (role: Role): Float32Array<ArrayBuffer> => {
    const start = projection ? matrix(base(role), from, to) : Matrix.eye(from);
    const residual = matrix(down(role), from, rank).mmul(matrix(up(role), rank, to));
    return Float32Array.from(start.add(residual).to1DArray());
  };
  const name = `adapter-${rank}`;
  return {
    name: projection ? `${projection.name}+${name}` : name,
    from,
    to,
    query: side('query'),
    document: side('document'),
  };
}

/**
 * Trains, or continues training, to the last step. @throws HarnessError where there are fewer clicked queries than a
 * batch.
 */
export async function adapt(options: AdaptOptions): Promise<Adapted> {
  const { clicked, settings, folder, threads = 0, onStep = () => {} } = options;
  if (clicked.length < settings.batch)
    throw new HarnessError(
      'configuration',
      `adapter: expected at least a batch of ${settings.batch} clicked queries, received ${clicked.length}.`,
    );
  const weights = initialWeights(options);
  const compiled = adaptationStep(options, weights);
  const { student, losses } = await train(
    { weights },
    {
      open: (state) => openRunner(compiled, { state, threads }),
      folder,
      steps: settings.steps,
      checkpointEvery: settings.checkpointEvery,
      accumulate: compiled.accumulate,
      onStep,
      batchesAfter: (after) => batchesAfter(after, options),
    },
  );
  return { map: folded(student.weights, options), losses };
}
