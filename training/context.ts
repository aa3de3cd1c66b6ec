/** What every stage of the recipe works with: settings, data, and where to write lines for the user. */
import { join } from 'node:path';
import { canonicalJson, sha256Hex } from '../shared/digest.ts';
import type { RecipeConfig } from './config.ts';
import { openDataset } from './data/dataset.ts';
import type { BadRow, DatasetFolder } from './data/records.ts';
import { datasetSettings } from './settings/data.ts';

/** Fetched checkpoints, teacher vectors and run states; may be deleted at any time, at the price of computing them again. */
export const CACHE = '.cache';

/** Passed to every stage. */
export interface RecipeContext {
  readonly config: RecipeConfig;
  readonly dataset: DatasetFolder;
  readonly say: (line: string) => void;
  /** As `say`, but no line is repeated: for what each of many sessions would say. */
  readonly sayOnce: (line: string) => void;
}

const SHOWN_BAD_ROWS = 5;

/** Opens the data. @throws HarnessError in one line where it is missing. */
export function openRecipe(config: RecipeConfig, say: (line: string) => void): RecipeContext {
  let bad = 0;
  const dataset = openDataset(datasetSettings(config.data), {
    maxBadShare: config.data.maxBadShare,
    onBadRow({ file, line, reason }: BadRow) {
      bad++;
      if (bad <= SHOWN_BAD_ROWS) say(`${file}:${line}: bad row: ${reason}`);
      else if (Number.isInteger(Math.log10(bad))) say(`${bad} bad rows so far`);
    },
  });
  const said = new Set<string>();
  const sayOnce = (line: string) => {
    if (!said.has(line)) say(line);
    said.add(line);
  };
  return { config, dataset, say, sayOnce };
}

/** A run's folder under the cache, named by everything that decides what it holds. */
export async function runFolder(identity: Record<string, unknown>): Promise<string> {
  return join(CACHE, 'runs', (await sha256Hex(canonicalJson(identity))).slice(0, 16));
}
