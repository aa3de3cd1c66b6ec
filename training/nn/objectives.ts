/**
 * Objectives of alignment (HARNESS-LM's phase 2, arXiv 2605.23572), by name: how far the student's vectors are from the teacher's of the
 * same texts, as a scalar. The teacher's documents stay as they are, so an objective must fix the space itself, not only distances in it.
 */
import { HarnessError } from '../../shared/problem.ts';
import type { Graph, Value } from '../graph/graph.ts';
import { normalizeRows } from './layers.ts';
import { divergence, squaredDistance } from './losses.ts';

/** Names of the objectives. */
export const OBJECTIVES = ['l2', 'cosine', 'kernel', 'kl'] as const;
export type ObjectiveName = (typeof OBJECTIVES)[number];

export interface ObjectiveSettings {
  /** Of the softmax over similarities: `kl` only. */
  readonly temperature: number;
}

/** From student and teacher vectors, float32 [batch, dim] with a known batch, rows of length 1, to a scalar that is 0 where they agree. */
export type Objective = (g: Graph, student: Value, teacher: Value, settings: ObjectiveSettings) => Value;

/** mean_i ( 1 - cos(s_i, t_i) ): for rows of length 1 half of `l2`. */
const cosine: Objective = (g, student, teacher) => {
  const products = g.times(normalizeRows(g, student), normalizeRows(g, teacher));
  return g.minus(1, g.mean(g.sum(products, [1]), [0]));
};

/**
 * 1 - <S T', T T'> / (|S T'| |T T'|), Frobenius: kernel alignment (Cristianini et al., 2001) of the similarities that the batch's queries
 * have to the teacher's vectors, computed once by the student (S) and once by the teacher (T). With S S' in place of S T' any rotation of
 * the student would be as good, and searching the teacher's frozen documents with it would find nothing. Directions count as much as the
 * teacher's vectors vary along them, so the rare ones are learnt last; `l2` weighs all alike.
 */
const kernel: Objective = (g, student, teacher) => {
  const own = g.matmul(student, teacher, { transB: true });
  const given = g.matmul(teacher, teacher, { transB: true });
  const inner = (a: Value, b: Value) => g.sum(g.times(a, b), [0, 1]);
  const lengths = g.apply('sqrt', g.times(inner(own, own), inner(given, given)));
  return g.minus(1, g.over(inner(own, given), lengths));
};

/**
 * mean_i KL( softmax_j(t_i t_j / temperature) || softmax_j(s_i t_j / temperature) ) over the batch's teacher vectors t_j: only how the
 * similarities of a query compare with each other counts.
 */
const kl: Objective = (g, student, teacher, { temperature }) =>
  divergence(g, { student, teacher, documents: teacher }, temperature);

const BY_NAME: Readonly<Record<ObjectiveName, Objective>> = { l2: squaredDistance, cosine, kernel, kl };

/** An objective by its name. */
export const objective = (name: ObjectiveName): Objective => BY_NAME[name];

/**
 * Matryoshka (Kusupati et al., arXiv 2205.13147): the mean of an objective over the vectors cut to their first `dimensions` and scaled to
 * length 1 again, so that a cut vector searches cut documents. The full length always counts, as it is.
 * @throws HarnessError where a length is not below the vectors'.
 */
export function matryoshka(inner: Objective, dimensions: readonly number[]): Objective {
  return (g, student, teacher, settings) => {
    const full = student.shape[1] as number;
    const cut = (x: Value, length: number) => normalizeRows(g, g.slice(x, 1, [0, length]));
    const parts = [...new Set(dimensions)].map((length) => {
      if (!Number.isInteger(length) || length < 1 || length >= full)
        throw new HarnessError(
          'configuration',
          `matryoshka: expected lengths from 1 to ${full - 1}, received ${length}.`,
        );
      return inner(g, cut(student, length), cut(teacher, length), settings);
    });
    const sum = parts.reduce((a, b) => g.plus(a, b), inner(g, student, teacher, settings));
    return parts.length === 0 ? sum : g.times(sum, 1 / (parts.length + 1));
  };
}
