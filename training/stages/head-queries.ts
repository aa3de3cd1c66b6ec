/**
 * The queries asked most, with the teacher's own vectors of what it really reads of them: its answers are stored, so
 * that for these texts serving need not make do with the student. Queries of the log only; those of validation and test
 * are left out.
 */
import { normalize } from '../../shared/text.ts';
import type { RecipeContext } from '../context.ts';
import { withContext } from '../data/context.ts';
import { heldOutTexts } from '../data/held-out.ts';
import type { QueryRow } from '../data/records.ts';
import { queryTargets } from '../phases/prepare.ts';
import { headQueriesFile, int8Rows } from '../publish.ts';
import type { TeacherText } from '../teacher/input.ts';
import type { Teacher } from '../teacher/teacher.ts';

type Asked = TeacherText & { readonly frequency: number };

const mostAsked = (asked: ReadonlyMap<string, Asked>, count: number): Asked[] =>
  [...asked.values()].sort((a, b) => b.frequency - a.frequency || (a.text < b.text ? -1 : 1)).slice(0, count);

/** The `count` queries asked most in any one market, with context where the teacher reads it. */
async function chosen({ config, dataset }: RecipeContext, count: number): Promise<TeacherText[]> {
  const isHeldOut = await heldOutTexts(dataset);
  const queries = dataset.read('queries.train.jsonl');
  const rows: AsyncIterable<QueryRow & { readonly context?: string }> = config.teacher.context
    ? withContext(queries, dataset.read('oracle.train.jsonl'), { maxUnmatched: config.data.maxBadShare })
    : queries;
  let best = new Map<string, Asked>();
  for await (const { text: raw, frequency, context } of rows) {
    const text = normalize(raw);
    if (text === '' || isHeldOut(text) || frequency <= (best.get(text)?.frequency ?? -1)) continue;
    best.set(text, { text, frequency, context });
    if (best.size >= 4 * count + 1_000) best = new Map(mostAsked(best, count).map((query) => [query.text, query]));
  }
  return mostAsked(best, count);
}

/** The file and how many queries it holds; nothing where none are wanted or the log has none. */
export async function headQueries(
  context: RecipeContext,
  { teacher, spaceId }: { teacher: Teacher; spaceId: string },
): Promise<{ headQueries?: { file: Uint8Array<ArrayBuffer>; count: number } }> {
  const { config, say } = context;
  if (config.export.headQueries === 0) return {};
  const queries = await chosen(context, config.export.headQueries);
  if (queries.length === 0) return {};
  say(`the teacher's own vectors of the ${queries.length} queries asked most`);
  const vectors = await queryTargets({ teacher, parts: config.data.parts })(queries);
  const texts = queries.map(({ text }) => text);
  const file = headQueriesFile(texts, { vectors: int8Rows(vectors, teacher.dimension), spaceId });
  return { headQueries: { file, count: texts.length } };
}
