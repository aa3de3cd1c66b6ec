/** What must not be trained on: the validation and test queries, however written and in whatever word order. */
import { normalize } from '../../shared/text.ts';
import type { DatasetFolder } from './records.ts';

/** One key for all word orders of a normalized text. */
export const orderless = (text: string): string => text.split(' ').sort().join(' ');

/** Whether a normalized text is a validation or test query in some word order. The queries of both splits are held in memory. */
export async function heldOutTexts(dataset: Pick<DatasetFolder, 'read'>): Promise<(text: string) => boolean> {
  const heldOut = new Set<string>();
  for (const file of ['queries.validation.jsonl', 'queries.test.jsonl'] as const)
    for await (const { text } of dataset.read(file)) heldOut.add(orderless(normalize(text)));
  return (text) => heldOut.has(orderless(text));
}
