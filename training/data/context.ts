/**
 * Oracle context joined to queries: two streams in the same order, of which only a window is held in memory.
 *
 * Context is for teachers. Whatever feeds a student takes `text` alone; test/training/data/context.test.ts proves it.
 */
import { HarnessError } from '../../shared/problem.ts';
import type { ContextRow } from './records.ts';

/** Contexts held while their queries are waited for: as many queries in a row may be missing. */
const WINDOW = 4_096;

/** Context on one line: the files that keep it hold a text a line. */
const oneLine = (text: string): string => text.replace(/\s+/gu, ' ').trim();

export interface ContextOptions {
  /** Share of the contexts whose query may be missing: queries that are bad rows are. */
  readonly maxUnmatched: number;
  /** Told in the end, where there are such contexts. */
  readonly onUnmatched?: (contexts: number) => void;
}

/**
 * Queries with their context where they have one.
 * @param contexts In the order of the queries; a query may have none.
 * @throws HarnessError naming the first context whose query did not come, where more are missing than the options allow.
 */
export async function* withContext<Q extends { readonly id: string }>(
  queries: AsyncIterable<Q>,
  contexts: AsyncIterable<ContextRow>,
  { maxUnmatched, onUnmatched = () => {} }: ContextOptions,
): AsyncGenerator<Q & { readonly context?: string }> {
  const rows = contexts[Symbol.asyncIterator]();
  const ahead = new Map<string, string>();
  let [read, unmatched, ended] = [0, 0, false];
  let firstUnmatched: string | undefined;
  const passOver = (id: string) => {
    unmatched++;
    firstUnmatched ??= id;
  };
  const fill = async () => {
    while (!ended && ahead.size < WINDOW) {
      const next = await rows.next();
      if (next.done) ended = true;
      else {
        read++;
        const { queryId, text } = next.value;
        if (ahead.has(queryId)) passOver(queryId);
        else ahead.set(queryId, oneLine(text));
      }
    }
  };
  for await (const query of queries) {
    await fill();
    const context = ahead.get(query.id);
    if (context === undefined) {
      yield query;
      continue;
    }
    // Both are in the same order: the queries of the contexts before this one will not come any more.
    for (const id of ahead.keys()) {
      ahead.delete(id);
      if (id === query.id) break;
      passOver(id);
    }
    yield { ...query, context };
  }
  for (;;) {
    await fill();
    if (ahead.size === 0) break;
    for (const id of ahead.keys()) passOver(id);
    ahead.clear();
  }
  if (unmatched > maxUnmatched * read)
    throw new HarnessError(
      'bad_request',
      `context of query ${firstUnmatched}: expected contexts in the order of the queries, received ${unmatched} of ${read} whose query did not come after the one before.`,
    );
  if (unmatched > 0) onUnmatched(unmatched);
}
