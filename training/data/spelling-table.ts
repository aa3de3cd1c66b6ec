/** The words of a dataset, for correcting typos where the student serves (shared/spelling.ts). */
import { lexicalText } from '../../shared/coverage-index.ts';
import { type SpellingTable, words } from '../../shared/spelling.ts';
import { normalize } from '../../shared/text.ts';
import { heldOutTexts } from './held-out.ts';
import type { DatasetFolder } from './records.ts';
import { WordCounts } from './word-counts.ts';

/** Queries that a word of no ad and no general text must be in to count as one: fewer may share a typo. */
const FROM_QUERIES = 3;
/** Uses that a word needs to be what a typo meant. */
const SUGGESTED_FROM = 2;
/** The words of a text as people wrote it. */
const wordsOf = (text: string): string[] => words(normalize(text));

/** From the catalogue, the training queries and, where the dataset has it, general text; no held-out query is read. */
export async function spellingTable(dataset: Pick<DatasetFolder, 'read' | 'has'>): Promise<SpellingTable> {
  const [ads, queries, general] = [new WordCounts(), new WordCounts(), new WordCounts()];
  for await (const ad of dataset.read('catalogue.jsonl')) ads.add(wordsOf(Object.values(lexicalText(ad)).join(' ')));
  const isHeldOut = await heldOutTexts(dataset);
  for await (const { text } of dataset.read('queries.train.jsonl'))
    if (!isHeldOut(normalize(text))) queries.add(wordsOf(text));
  if (dataset.has('text.general.jsonl'))
    for await (const { text } of dataset.read('text.general.jsonl')) general.add(wordsOf(text));

  const askedOften = [...queries].flatMap(([word, count]) => (count >= FROM_QUERIES ? [word] : []));
  const all = [...new Set([...ads.keys(), ...general.keys(), ...askedOften])].sort();
  const uses = (word: string) => (ads.get(word) ?? 0) + (queries.get(word) ?? 0);
  const suggested = all.filter((word) => uses(word) >= SUGGESTED_FROM);
  return {
    suggested: suggested.sort((a, b) => uses(b) - uses(a) || (a < b ? -1 : 1)).join(' '),
    known: all.filter((word) => uses(word) < SUGGESTED_FROM).join(' '),
  };
}
