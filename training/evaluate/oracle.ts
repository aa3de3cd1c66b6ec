/** What the teacher reads of the test queries: the bare query, and the query with its oracle context where the data has one. */
import { withContext } from '../data/context.ts';
import type { DatasetFolder } from '../data/records.ts';
import { teacherInput } from '../teacher/input.ts';
import type { JudgedQuery } from './market.ts';

export interface TeacherTexts {
  readonly bare: readonly string[];
  /** The same as `bare` where there is no context. */
  readonly real: readonly string[];
  readonly withContext: number;
}

/** @param reads Whether this teacher reads context at all. */
export async function teacherTexts(
  queries: readonly JudgedQuery[],
  { dataset, reads }: { dataset: DatasetFolder; reads: boolean },
): Promise<TeacherTexts> {
  const bare = queries.map(({ normalized }) => normalized);
  const contexts = new Map<string, string>();
  if (reads && dataset.has('oracle.test.jsonl')) {
    const joined = withContext(dataset.read('queries.test.jsonl'), dataset.read('oracle.test.jsonl'));
    for await (const { id, context } of joined) if (context) contexts.set(id, context);
  }
  return {
    bare,
    real: queries.map(({ id, normalized }) => teacherInput({ text: normalized, context: contexts.get(id) })),
    withContext: queries.filter(({ id }) => contexts.has(id)).length,
  };
}
