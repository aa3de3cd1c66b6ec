/** Clicked pairs as the stages read them: dealt into parts once, with context where the teacher reads it. */
import { join } from 'node:path';
import type { Ad } from '../../shared/contract/ads.ts';
import { CACHE, type RecipeContext } from '../context.ts';
import { type DealtPairs, dealPairs } from '../data/pairs.ts';
import type { FileName } from '../data/records.ts';

const FILES = ['catalogue.jsonl', 'clicks.train.jsonl', 'queries.train.jsonl'] as const;

/** The files that clicked pairs are made of. */
export const clickFiles = ({ config, dataset }: RecipeContext): FileName[] =>
  config.teacher.context && dataset.has('oracle.train.jsonl') ? [...FILES, 'oracle.train.jsonl'] : [...FILES];

export async function clickedPairs({ config, dataset, say }: RecipeContext, ads: readonly Ad[]): Promise<DealtPairs> {
  const pairs = await dealPairs(dataset, {
    folder: join(CACHE, 'pairs'),
    parts: config.data.parts,
    adIds: ads.map(({ id }) => id),
    context: config.teacher.context,
  });
  const { heldOut, unknownAds } = pairs.leftOut;
  say(`clicks left out: ${heldOut} queries of the validation or test split, ${unknownAds} ads not in the catalogue`);
  return pairs;
}
