/**
 * What a bundle says of its teacher, whose weights it does not hold: the measures of each test query, so that a student can be compared
 * with its teacher where that is not at hand, and the teacher's shape, so that its speed can be measured.
 */
import { z } from 'zod';
import { HarnessError } from '../../shared/problem.ts';
import { CheckpointConfig } from '../nn/encoder.ts';
import { initialWeights } from '../nn/initial.ts';
import type { Checkpoint } from '../teacher/checkpoint.ts';
import { TextTokenizer } from '../teacher/tokenizer.ts';
import { METRICS, type Scores } from './metrics.ts';
import type { LocalTeacher } from './speed-comparison.ts';

/** One number a query. */
const Column = z.array(z.number());
const Columns = z.strictObject({ p10: Column, p100: Column, ndcg10: Column, mrr: Column, recall100: Column });

export const PublishedTeacher = z.strictObject({
  /** Hex SHA-256 of what the teacher was measured on: the test split, its contexts, and the catalogue. */
  dataSha256: z.string(),
  /** Whether it read oracle context where the data has it. */
  readsContext: z.boolean(),
  /** Ids of the test queries, in the order of the columns. */
  queries: z.array(z.string()),
  /** With its real inputs. */
  teacher: Columns,
  /** On the bare query. */
  teacherBare: Columns,
  /** Absent where the teacher does not run here, or reads another tokenizer than the student. */
  shape: z
    .strictObject({
      config: CheckpointConfig,
      pooling: z.strictObject({ mode: z.enum(['mean', 'cls', 'last']), normalize: z.boolean() }),
      queryPrompt: z.string(),
      maxTokens: z.int().positive(),
    })
    .optional(),
});
export type PublishedTeacher = z.infer<typeof PublishedTeacher>;

/** The teacher's measures, in the order of the test queries. */
export interface TeacherMeasures {
  readonly teacher: readonly Scores[];
  readonly teacherBare: readonly Scores[];
}

const rounded = (value: number): number => Math.round(value * 1e4) / 1e4;
const columns = (scores: readonly Scores[]): z.infer<typeof Columns> =>
  Object.fromEntries(METRICS.map((metric) => [metric, scores.map((of) => rounded(of[metric]))])) as z.infer<
    typeof Columns
  >;

/** What is published of a teacher's measures, rounded to four digits. */
export const describeMeasures = (
  { teacher, teacherBare }: TeacherMeasures,
  queries: readonly { readonly id: string }[],
): Pick<PublishedTeacher, 'queries' | 'teacher' | 'teacherBare'> => ({
  queries: queries.map(({ id }) => id),
  teacher: columns(teacher),
  teacherBare: columns(teacherBare),
});

/** What is published of a teacher's model. */
export const describeShape = ({
  config,
  pooling,
  queryPrompt,
  tokenizer: { maxTokens },
}: Checkpoint): PublishedTeacher['shape'] => ({ config, pooling, queryPrompt, maxTokens });

/** The published measures of these queries, in their order. @throws HarnessError naming a query that was not measured. */
export function publishedMeasures(
  published: PublishedTeacher,
  queries: readonly { readonly id: string }[],
): TeacherMeasures {
  const rowOf = new Map(published.queries.map((id, row) => [id, row]));
  const rows = queries.map(({ id }) => {
    const row = rowOf.get(id);
    if (row === undefined)
      throw new HarnessError(
        'bundle_damaged',
        `teacher.json: expected the measures of test query ${id}, found none; publish the bundle again.`,
      );
    return row;
  });
  const scores = (of: z.infer<typeof Columns>): Scores[] =>
    rows.map((row) => Object.fromEntries(METRICS.map((metric) => [metric, of[metric][row]])) as Scores);
  return { teacher: scores(published.teacher), teacherBare: scores(published.teacherBare) };
}

/** A model as fast as the teacher, with random weights: what a multiplication costs does not depend on the numbers. */
export function standIn({ shape }: PublishedTeacher, tokenizerJson: string): LocalTeacher | undefined {
  if (!shape) return undefined;
  const { config, pooling, queryPrompt, maxTokens } = shape;
  return {
    config,
    pooling,
    weights: initialWeights({ config, pooling }, 0),
    tokenizer: new TextTokenizer(tokenizerJson, { maxTokens, padId: config.pad_token_id }),
    queryPrompt,
    remark: "the teacher's weights are not here: random ones in its shape were timed, speed does not depend on values",
  };
}
