/**
 * Oracle context joined to queries: two streams in the same order, so that nothing has to be held in memory.
 *
 * Context is for teachers. Whatever feeds a student takes `text` alone; test/training/data/context.test.ts proves it.
 */
import { HarnessError } from '../../shared/problem.ts';
import type { ContextRow } from './records.ts';

/** Context on one line: the files that keep it hold a text a line. */
const oneLine = (text: string): string => text.replace(/\s+/gu, ' ').trim();

/**
 * Queries with their context where they have one.
 * @param contexts In the order of the queries; a query may have none.
 * @throws HarnessError naming the first context whose query did not come.
 */
export async function* withContext<Q extends { readonly id: string }>(
  queries: AsyncIterable<Q>,
  contexts: AsyncIterable<ContextRow>,
): AsyncGenerator<Q & { readonly context?: string }> {
  const rows = contexts[Symbol.asyncIterator]();
  let next = await rows.next();
  for await (const query of queries) {
    if (!next.done && next.value.queryId === query.id) {
      yield { ...query, context: oneLine(next.value.text) };
      next = await rows.next();
    } else yield query;
  }
  if (!next.done)
    throw new HarnessError(
      'bad_request',
      `context of query ${next.value.queryId}: expected contexts in the order of the queries, received one whose query did not come after the one before.`,
    );
}
