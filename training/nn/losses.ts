/** Training losses: scalars, averaged over the batch. The objectives of alignment by name are in objectives.ts. */
import type { Graph, Value } from '../graph/graph.ts';
import type { TensorData } from '../onnx/model.ts';

/**
 * Squared L2 distance between student and teacher vectors, both [batch, dim] with a known batch: the alignment objective of HARNESS-LM's
 * phase 2 (arXiv 2605.23572). For vectors of length 1 it is 2 - 2 cosine.
 */
export function squaredDistance(g: Graph, student: Value, teacher: Value): Value {
  const difference = g.minus(student, teacher);
  return g.mean(g.sum(g.times(difference, difference), [1]), [0]);
}

export interface RankedVectors {
  /** Vectors of the same queries, float32 [batch, dim] with a known batch. */
  readonly student: Value;
  readonly teacher: Value;
  /** What they choose among, float32 [documents, dim]. */
  readonly documents: Value;
}

/**
 * Distillation of a choice (Hinton et al., arXiv 1503.02531): mean_i KL( softmax_j(t_i d_j / temperature) || softmax_j(s_i d_j / temperature) ),
 * the Kullback-Leibler divergence of what the student would choose among the documents from what the teacher would.
 */
export function divergence(g: Graph, { student, teacher, documents }: RankedVectors, temperature: number): Value {
  const logShares = (queries: Value) => {
    const logits = g.times(g.matmul(queries, documents, { transB: true }), 1 / temperature);
    return g.minus(logits, logSumExp(g, logits));
  };
  const [own, given] = [logShares(student), logShares(teacher)];
  return g.mean(g.sum(g.times(g.apply('exp', given), g.minus(given, own)), [1]), [0]);
}

export interface ContrastiveInputs {
  /** Float32 [batch, dim], rows of length 1, batch known. */
  readonly queries: Value;
  /** Float32 [documents, dim], rows of length 1: the positive of each query in the order of the queries, then any number of hard negatives. */
  readonly documents: Value;
  /**
   * Float32 [batch, documents], added to the logits: 0, or `NO_NEGATIVE` where a document is known to be no negative of the query, such as a
   * second copy of its positive. 0 on the diagonal.
   */
  readonly bias: Value;
}

export interface ContrastiveOptions {
  /** Logits are cosines divided by it: a number, or a scalar of the graph such as `learntTemperature`. */
  readonly temperature: number | Value;
  /** What scores above the positive by more than this cosine is taken for a missed positive and left out. */
  readonly falseNegativeMargin: number;
  /** Whether the other queries, and the other positives as seen from this one, are negatives too. */
  readonly sameTower?: boolean;
  /** Whether each positive must find its query among the queries as well (CLIP, arXiv 2103.00020); the two directions are averaged. */
  readonly symmetric?: boolean;
}

/** Far below any logit, and finite: infinities have no gradient. */
export const NO_NEGATIVE = -1e4;

/**
 * InfoNCE (van den Oord et al., 2018) as in Qwen3-Embedding (arXiv 2506.05176). With cosines s and logits s / temperature,
 *
 *     loss = mean_i ( log Z_i - s(q_i, d_i) / temperature )
 *     Z_i  = sum_j e^{s(q_i, d_j) / temperature}                                  over all documents, its own positive included
 *          + sum_{j != i} ( e^{s(q_i, q_j) / temperature} + e^{s(d_i, d_j) / temperature} )    with `sameTower`, over the batch
 *
 * where a term other than the positive's is left out when its s exceeds s(q_i, d_i) + margin. A bias on (q_i, d_j) says that j shares i's
 * positive, so that it also holds for (q_i, q_j) and (d_i, d_j). Hard negatives are shared by the batch; a bias makes them private.
 */
export function contrastive(g: Graph, inputs: ContrastiveInputs, options: ContrastiveOptions): Value {
  const { queries, documents, bias } = inputs;
  const { temperature, falseNegativeMargin, sameTower = false, symmetric = false } = options;
  const [batch, count] = bias.shape as [number, number];
  const scale = typeof temperature === 'number' ? 1 / temperature : g.over(1, temperature);
  const positives = count === batch ? documents : g.slice(documents, 0, [0, batch]);
  const positive = g.sum(g.times(queries, positives), [1], true);
  const limit = g.plus(positive, falseNegativeMargin);
  const logits = g.times(positive, scale);

  const rows = g.constant([...Array(batch).keys()], [batch, 1]);
  const own = (columns: number) => g.equal(rows, g.constant([...Array(columns).keys()], [columns]));
  const considered = (cosines: Value, known: Value) =>
    g.where(g.greater(cosines, limit), NO_NEGATIVE, g.plus(g.times(cosines, scale), known));
  const among = (a: Value, b: Value, known: Value) => considered(g.matmul(a, b, { transB: true }), known);
  const pairs = count === batch ? bias : g.slice(bias, 1, [0, batch]);

  // The positive's logit is put in its place as it is: the mask is for the others.
  const crossing = g.where(own(count), logits, among(queries, documents, bias));
  const terms = [crossing];
  if (sameTower) {
    for (const tower of [queries, positives]) terms.push(g.where(own(batch), NO_NEGATIVE, among(tower, tower, pairs)));
  }
  const forward = negativeLogLikelihood(g, terms.length === 1 ? crossing : g.concat(terms, 1), logits);
  if (!symmetric) return forward;
  const returning = g.where(own(batch), logits, among(positives, queries, g.transpose(pairs, [1, 0])));
  return g.times(g.plus(forward, negativeLogLikelihood(g, returning, logits)), 0.5);
}

/** Mean over rows of log sum exp `logits` [batch, n] - `chosen` [batch, 1]. */
function negativeLogLikelihood(g: Graph, logits: Value, chosen: Value): Value {
  return g.mean(g.reshape(g.minus(logSumExp(g, logits), chosen), [chosen.shape[0]!]), [0]);
}

/** log sum exp along the last axis of [rows, n], as [rows, 1]; the peak is taken out first, so that nothing overflows. */
function logSumExp(g: Graph, x: Value): Value {
  const peak = g.max(x, [1], true);
  return g.plus(g.apply('log', g.sum(g.apply('exp', g.minus(x, peak)), [1], true)), peak);
}

/** The parameter behind a learnt temperature: log(1 / temperature), a scalar. */
export const LOGIT_SCALE = 'logit_scale';
/** Temperatures below 1/100 are unstable; the optimizers hold the parameter there after each step, as CLIP does. */
export const LARGEST_LOGIT_SCALE = Math.log(100);

/** A temperature that is trained with the model: exp(-logit_scale), with `LOGIT_SCALE` among the weights. */
export function learntTemperature(g: Graph): Value {
  return g.apply('exp', g.apply('neg', g.parameter(LOGIT_SCALE, [])));
}

/** The weight that `learntTemperature` starts from. */
export function initialLogitScale(temperature: number): TensorData {
  return { dtype: 'float32', shape: [], data: Float32Array.of(-Math.log(temperature)) };
}
