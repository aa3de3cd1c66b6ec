/**
 * The terms of the training queries, by which serving recognises words that the student has never met
 * (shared/new-words.ts).
 */
import { terms } from '../../shared/coverage.ts';
import type { AskedTerms } from '../../shared/new-words.ts';
import { normalize } from '../../shared/text.ts';
import { heldOutTexts } from './held-out.ts';
import type { DatasetFolder } from './records.ts';
import { WordCounts } from './word-counts.ts';

/** No held-out query is read. */
export async function askedTerms(dataset: Pick<DatasetFolder, 'read'>): Promise<AskedTerms> {
  const asked = new WordCounts();
  const isHeldOut = await heldOutTexts(dataset);
  for await (const { text } of dataset.read('queries.train.jsonl')) {
    const normalized = normalize(text);
    if (!isHeldOut(normalized)) asked.add(terms(normalized));
  }
  return { terms: [...asked.keys()].sort().join(' ') };
}
