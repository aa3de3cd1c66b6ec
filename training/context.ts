/** What every stage of the recipe works with: settings, data, the checkpoint, and a line to say things on. */
import { join } from 'node:path';
import { canonicalJson, sha256Hex } from '../shared/digest.ts';
import type { RecipeConfig } from './config.ts';
import { openDataset } from './data/dataset.ts';
import type { BadRow, DatasetFolder } from './data/records.ts';
import { type Checkpoint, readCheckpoint } from './teacher/checkpoint.ts';
import { resolveTeacher } from './teacher/resolve.ts';

/** Fetched checkpoints, teacher vectors and run states; may be deleted at any time, at the price of computing them again. */
export const CACHE = '.cache';

export interface RecipeContext {
  readonly config: RecipeConfig;
  readonly dataset: DatasetFolder;
  /** The encoder that becomes the teacher. */
  readonly checkpoint: Checkpoint;
  /** Where it came from, for the manifest. */
  readonly checkpointSource: string;
  readonly say: (line: string) => void;
}

const SHOWN_BAD_ROWS = 5;

/** Opens data and teacher. @throws HarnessError in one line where either is missing. */
export async function openRecipe(config: RecipeConfig, say: (line: string) => void): Promise<RecipeContext> {
  // Files are read more than once; a row is reported once.
  const bad = new Set<string>();
  const dataset = openDataset(config.data.folder, {
    maxBadShare: config.data.maxBadShare,
    onBadRow({ file, line, reason }: BadRow) {
      const place = `${file}:${line}`;
      if (bad.has(place)) return;
      bad.add(place);
      if (bad.size <= SHOWN_BAD_ROWS) say(`${place}: bad row: ${reason}`);
      else if (Number.isInteger(Math.log10(bad.size))) say(`${bad.size} bad rows so far`);
    },
  });
  const place = await resolveTeacher(config.teacher.from, {
    cache: join(CACHE, 'checkpoints'),
    // The variable that Hugging Face's own tools read.
    ...(process.env.HF_ENDPOINT ? { hub: process.env.HF_ENDPOINT } : {}),
    onFile: (path) => say(`fetching ${path} of ${config.teacher.from}`),
  });
  const checkpoint = await readCheckpoint(place.folder, place.name);
  return { config, dataset, checkpoint, checkpointSource: place.source, say };
}

/** A run's folder under the cache, named by everything that decides what it holds. */
export async function runFolder(identity: Record<string, unknown>): Promise<string> {
  return join(CACHE, 'runs', (await sha256Hex(canonicalJson(identity))).slice(0, 16));
}
