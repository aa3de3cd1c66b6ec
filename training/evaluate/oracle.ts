/** What the teacher reads of the test queries: the bare query, and the query with its oracle context where the data has one. */
import { teacherInput } from '../teacher/input.ts';
import type { JudgedQuery } from './market.ts';

export interface TeacherTexts {
  readonly bare: readonly string[];
  /** The same as `bare` where there is no context. */
  readonly real: readonly string[];
  readonly withContext: number;
}

/** @param reads Whether this teacher reads context at all. */
export function teacherTexts(queries: readonly JudgedQuery[], { reads }: { reads: boolean }): TeacherTexts {
  const bare = queries.map(({ normalized }) => normalized);
  if (!reads) return { bare, real: bare, withContext: 0 };
  return {
    bare,
    real: queries.map(({ normalized, context }) => teacherInput({ text: normalized, context })),
    withContext: queries.filter(({ context }) => context).length,
  };
}
